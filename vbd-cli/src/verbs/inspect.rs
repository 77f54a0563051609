//! `vbd inspect`: shows a file's sparsity layer by layer.

use vbd_prune::Report;

use super::Finished;
use crate::args::InspectArgs;
use crate::files;
use crate::render::{Output, show_report};

pub(crate) fn run(args: &InspectArgs, out: &Output) -> anyhow::Result<Finished> {
    let report = Report::new(&files::open(&args.file)?)?;
    show_report(out, &report)?;
    Ok(Finished::Reported(Box::new(report)))
}
