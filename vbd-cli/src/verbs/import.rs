//! `vbd import`: reads a dense network that another program trained.

use anyhow::Context as _;
use vbd_net::{PrunedFile, ValueType};
use vbd_prune::Report;

use super::VerbResult;
use crate::args::ImportArgs;
use crate::files;
use crate::render::{Output, show_report};

pub(crate) fn run(args: &ImportArgs, out: &Output) -> anyhow::Result<VerbResult> {
    files::check_out(&args.out, args.force)?;
    let spec = vbd_models::nets::net(&args.spec)?;
    let net = vbd_prune::import(&args.file, &spec, &args.rename)
        .with_context(|| format!("importing {}", args.file.display()))?;
    let bytes = PrunedFile::new(&net, None, ValueType::F32)?.to_bytes()?;
    let report = Report::of_file(&PrunedFile::from_bytes(&bytes, &args.out)?)?;
    vbd_net::file::write_atomic(&args.out, &bytes)?;
    show_report(out, &report)?;
    Ok(VerbResult::Reported(Box::new(report)))
}
