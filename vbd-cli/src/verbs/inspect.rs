//! `vbd inspect`: shows a file's sparsity layer by layer.

use vbd_prune::report::WeightsReport;
use vbd_prune::{ModelFile, Report};

use super::VerbResult;
use crate::args::InspectArgs;
use crate::files;
use crate::render::{Output, show_report, show_weights};

pub(crate) fn run(args: &InspectArgs, out: &Output) -> anyhow::Result<VerbResult> {
    let model = files::open(&args.file)?;
    if let ModelFile::Weights { file, .. } = &model {
        show_weights(out, &WeightsReport::new(file))?;
        return Ok(VerbResult::Shown);
    }
    let report = Report::new(&model)?;
    show_report(out, &report)?;
    Ok(VerbResult::Reported(Box::new(report)))
}
