//! `vbd import`: reads a dense network that another program trained.

use anyhow::Context as _;
use vbd_net::{PrunedFile, ValueType};

use super::{VerbResult, prune};
use crate::args::ImportArgs;
use crate::files;
use crate::render::Output;

pub(crate) fn run(args: &ImportArgs, out: &Output) -> anyhow::Result<VerbResult> {
    files::check_out(&args.destination)?;
    let spec = vbd_models::nets::net(&args.spec)?;
    let file = files::local(&args.file)?;
    let net = vbd_prune::import(&file, &spec, &args.rename)
        .with_context(|| format!("importing {}", args.file.display()))?;
    let file = PrunedFile::new(&net, None, ValueType::F32)?;
    prune::write(&file, &args.destination.out, out)
}
