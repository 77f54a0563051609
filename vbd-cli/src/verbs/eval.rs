//! `vbd eval`: evaluates a file on a data set.

use anyhow::Context as _;
use serde::Serialize;
use vbd_core::train::{Compute, SampledEvaluation};
use vbd_net::data::Dataset;
use vbd_net::output::Evaluation;
use vbd_prune::ModelFile;

use super::{Context, VerbResult};
use crate::args::EvalArgs;
use crate::error::Problem;
use crate::files;
use crate::render::{Column, Output, Table, count, loss, percent};

/// Result of an evaluation, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct EvalResult {
    data: String,
    split: &'static str,
    samples: usize,
    #[serde(flatten)]
    pub(crate) result: EvaluationResult,
}

/// Metrics, which depend on the network's loss.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum EvaluationResult {
    /// Of a classifier. `test_error` is a fraction, for either split.
    Classes {
        wrong: usize,
        test_error: f64,
        nll: f64,
    },
    /// Of a classifier, by draws.
    Draws {
        wrong: usize,
        test_error: f64,
        nll: f64,
        ece: f64,
        brier: f64,
        mc_samples: usize,
    },
    /// Of a network with a squared error.
    Values { test_loss: f64 },
}

impl EvaluationResult {
    fn of(evaluation: &Evaluation) -> Self {
        match (*evaluation, evaluation.quality()) {
            (Evaluation::Classes { wrong, nll, .. }, quality) => Self::Classes {
                wrong,
                test_error: quality.value(),
                nll,
            },
            (Evaluation::Values { loss, .. }, _) => Self::Values { test_loss: loss },
        }
    }
}

pub(crate) fn run(args: &EvalArgs, context: &Context) -> anyhow::Result<VerbResult> {
    let out = &context.out;
    let (net, runnable) = files::open_net(&args.file, args.model.as_deref())?;
    let data = files::load_data_for(&net, &args.file, args.data.as_deref(), &args.dir)?;
    if let Some(mc_samples) = args.mc_samples {
        let evaluated = by_draws(args, &data, mc_samples as usize, context.threads)?;
        show(out, &evaluated)?;
        return Ok(VerbResult::Evaluated(evaluated));
    }
    let evaluation = runnable
        .evaluate(files::split_of(&data, args.split))
        .with_context(|| format!("{} samples of data set `{}`", args.split, data.name))?;
    // A network without connections was told when it was opened.
    if evaluation.is_constant() && runnable.plan().live_inputs() > 0 {
        files::warn_constant(runnable.spec());
    }
    let evaluated = EvalResult {
        data: data.name,
        split: args.split.as_str(),
        samples: evaluation.samples(),
        result: EvaluationResult::of(&evaluation),
    };
    show(out, &evaluated)?;
    Ok(VerbResult::Evaluated(evaluated))
}

/// Evaluates a run with probabilities averaged over draws.
fn by_draws(
    args: &EvalArgs,
    data: &Dataset,
    mc_samples: usize,
    threads: usize,
) -> anyhow::Result<EvalResult> {
    let ModelFile::Checkpoint { checkpoint, .. } = files::open(&args.file)? else {
        let text = format!(
            "{}: --mc-samples needs a run or a checkpoint",
            args.file.display()
        );
        return Err(Problem::usage(text)
            .hint("a pruned file has no posterior to draw from")
            .into());
    };
    let compute = Compute {
        threads,
        ..Compute::default()
    };
    let samples = files::split_of(data, args.split);
    let evaluation = SampledEvaluation::of(&checkpoint, samples, mc_samples, &compute)?;
    let SampledEvaluation { wrong, nll, .. } = evaluation;
    Ok(EvalResult {
        data: data.name.clone(),
        split: args.split.as_str(),
        samples: evaluation.samples,
        result: EvaluationResult::Draws {
            wrong,
            test_error: wrong as f64 / evaluation.samples.max(1) as f64,
            nll,
            ece: evaluation.calibration.ece(),
            brier: evaluation.calibration.brier(),
            mc_samples,
        },
    })
}

fn show(out: &Output, evaluated: &EvalResult) -> anyhow::Result<()> {
    if out.is_json() {
        return out.object(evaluated);
    }
    let (titles, results) = match evaluated.result {
        EvaluationResult::Classes {
            wrong,
            test_error,
            nll,
        } => (
            vec!["wrong", "error %", "nll"],
            vec![
                count(wrong as u64),
                percent(test_error),
                format!("{nll:.4}"),
            ],
        ),
        EvaluationResult::Draws {
            wrong,
            test_error,
            nll,
            ece,
            brier,
            mc_samples,
        } => (
            vec!["wrong", "error %", "nll", "ece", "brier", "draws"],
            vec![
                count(wrong as u64),
                percent(test_error),
                format!("{nll:.4}"),
                format!("{ece:.4}"),
                format!("{brier:.4}"),
                count(mc_samples as u64),
            ],
        ),
        EvaluationResult::Values { test_loss } => (vec!["test loss"], vec![loss(test_loss)]),
    };
    let mut columns = vec![
        ("data", Column::Text),
        ("split", Column::Text),
        ("samples", Column::Number),
    ];
    columns.extend(titles.into_iter().map(|title| (title, Column::Number)));
    let mut table = Table::new(out, &columns);
    let facts = [
        evaluated.data.clone(),
        evaluated.split.to_owned(),
        count(evaluated.samples as u64),
    ];
    table.row(facts.into_iter().chain(results));
    out.text(&table.into_text())
}
