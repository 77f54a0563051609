//! `vbd export`: writes a file for another program.

use std::path::Path;

use serde::Serialize;
use vbd_prune::export::export;

use super::VerbResult;
use crate::args::ExportArgs;
use crate::files;
use crate::render::{Output, bytes as size, printable, say};

/// What was written.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    to: &'a str,
    path: &'a Path,
    bytes: usize,
}

pub(crate) fn run(args: &ExportArgs, out: &Output) -> anyhow::Result<VerbResult> {
    let path = &args.destination.out;
    files::check_out(&args.destination)?;
    let net = files::net_of(&args.file, args.model.as_deref())?;
    let bytes = export(&net, args.to)?;
    vbd_net::file::write_atomic(path, &bytes)?;
    let rule = serde_json::to_string(&net.spec().normalize)?;
    say(&format!(
        "the file has no network: inputs are normalised before it by {rule}, (x scale - mean) / std"
    ));
    let exported = Exported {
        to: args.to.as_str(),
        path,
        bytes: bytes.len(),
    };
    if out.is_json() {
        out.object(&exported)?;
    } else {
        let path = path.display().to_string();
        let (path, size) = (printable(&path), size(bytes.len() as u64));
        out.text(&format!("wrote {path}: {size}\n"))?;
    }
    Ok(VerbResult::Shown)
}
