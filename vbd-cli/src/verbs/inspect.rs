//! `vbd inspect`: shows a file's sparsity layer by layer, and how sensitive each layer is.

use anyhow::Context as _;
use serde::Serialize;
use vbd_net::data::{Dataset, Samples};
use vbd_prune::report::WeightsReport;
use vbd_prune::sensitivity::{Sensitivity, sensitivity};
use vbd_prune::{ModelFile, Report};

use super::VerbResult;
use crate::args::InspectArgs;
use crate::files;
use crate::render::{Output, show_report, show_sensitivity, show_weights};

/// A report with the sensitivity of each layer, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct SensitivityReport<'a> {
    #[serde(flatten)]
    pub(crate) report: &'a Report,
    #[serde(flatten)]
    pub(crate) measured: &'a Sensitivity,
    pub(crate) measured_on: MeasuredOn,
}

/// The samples of a sensitivity.
#[derive(Debug, Serialize)]
pub(crate) struct MeasuredOn {
    pub(crate) data: String,
    pub(crate) split: &'static str,
    pub(crate) samples: usize,
}

pub(crate) fn run(args: &InspectArgs, out: &Output) -> anyhow::Result<VerbResult> {
    let model = files::open(&args.file)?;
    if args.sensitivity {
        return run_sensitivity(&model, args, out);
    }
    if let ModelFile::Weights { file, .. } = &model {
        show_weights(out, &WeightsReport::new(file))?;
        return Ok(VerbResult::Shown);
    }
    let report = Report::new(&model)?;
    show_report(out, &report)?;
    Ok(VerbResult::Reported(Box::new(report)))
}

fn run_sensitivity(
    model: &ModelFile,
    args: &InspectArgs,
    out: &Output,
) -> anyhow::Result<VerbResult> {
    // Says what cannot be cut before any data are looked for.
    vbd_prune::sensitivity::check(model)?;
    let net = model.net()?;
    let data = files::load_data_for(&net, &args.file, args.data.as_deref(), &args.dir)?;
    let held_out = held_out(model, &data);
    let (split, samples) = match (args.split, &held_out) {
        (Some(split), _) => (split.as_str(), files::split_of(&data, split)),
        (None, Some(samples)) => ("validation", samples),
        (None, None) => ("test", &data.test),
    };
    let measured = sensitivity(model, samples)
        .with_context(|| format!("{split} samples of data set `{}`", data.name))?;
    let report = Report::new(model)?;
    let shown = SensitivityReport {
        report: &report,
        measured: &measured,
        measured_on: MeasuredOn {
            samples: samples.len(),
            data: data.name.clone(),
            split,
        },
    };
    show_sensitivity(out, &shown)?;
    Ok(VerbResult::Reported(Box::new(report)))
}

/// Returns the samples that a checkpoint's run held out, if these are its data.
fn held_out(model: &ModelFile, data: &Dataset) -> Option<Samples> {
    let ModelFile::Checkpoint { checkpoint, .. } = model else {
        return None;
    };
    let held_out = checkpoint.recipe.train.validation;
    let is_same = held_out > 0 && data.crc32() == checkpoint.data.crc32;
    is_same.then(|| data.train.split_last(held_out).1)
}
