//! `vbd bench`: times inference or a training step.

use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;
use vbd_core::train::{StepBench, StepTime};
use vbd_net::PrunedNet;
use vbd_net::data::Dataset;
use vbd_net::simd;
use vbd_prune::bench::{BenchOptions, Engine, Row, Subject, bench, fitting};

use super::{Context, VerbResult};
use crate::args::BenchArgs;
use crate::error::{Problem, message};
use crate::render::{Column, Output, Table, count, micros, say, times};
use crate::{files, recipe};

#[derive(Debug, Serialize)]
struct Timings<R> {
    /// Instruction set of our own kernels. The `gemm` crate and Candle choose theirs.
    simd: &'static str,
    rows: Vec<R>,
}

impl<R> Timings<R> {
    fn new(rows: Vec<R>) -> anyhow::Result<Self> {
        let simd = simd::instruction_set()?.name();
        Ok(Self { simd, rows })
    }
}

/// Columns common to all measurements.
const COLUMNS: [(&str, Column); 5] = [
    ("what", Column::Text),
    ("batch", Column::Number),
    ("threads", Column::Number),
    ("median \u{b5}s", Column::Number),
    ("p99 \u{b5}s", Column::Number),
];

/// Batch sizes unless others are asked for.
const DEFAULT_BATCHES: [usize; 3] = [1, 64, 1024];

pub(crate) fn run(args: &BenchArgs, context: &Context) -> anyhow::Result<VerbResult> {
    say(&format!("kernels run on {}", simd::instruction_set()?));
    match (&args.file, &args.recipe) {
        (Some(file), _) => inference(file, args, &context.out)?,
        (None, Some(recipe)) => training_step(recipe, args, context)?,
        (None, None) => return Err(Problem::usage("missing FILE or --recipe RECIPE").into()),
    }
    Ok(VerbResult::Shown)
}

/// Times a file's network, sparse and dense.
fn inference(file: &Path, args: &BenchArgs, out: &Output) -> anyhow::Result<()> {
    let net = files::net_of(file, args.changes.model.as_deref())?;
    let data = data_for(&net, file, args)?;
    let images = data.as_ref().map(|data| data.test.inputs());
    let options = BenchOptions {
        time: args.seconds,
        ..BenchOptions::default()
    };
    let batches = if args.batch.is_empty() {
        fitting(&net, &DEFAULT_BATCHES)?
    } else {
        args.batch.clone()
    };
    let rows = bench(&net, &batches, images, options)?;
    if out.is_json() {
        return out.object(&Timings::new(rows)?);
    }
    out.text(&inference_table(out, &rows))
}

/// Loads the data that provide the pixels and says which. Returns `None` if the data that the net was
/// trained on are not available; data that were asked for must be.
fn data_for(net: &PrunedNet, file: &Path, args: &BenchArgs) -> anyhow::Result<Option<Dataset>> {
    let changes = &args.changes;
    let asked = changes.data.is_some() || changes.dir.data_dir.is_some();
    match files::load_data_for(net, file, changes.data.as_deref(), &changes.dir) {
        Ok(data) => {
            say(&format!("timing on the test images of {}", data.name));
            Ok(Some(data))
        }
        Err(error) if asked => Err(error),
        Err(error) => {
            say(&format!(
                "timing on synthetic pixels, a fifth of them nonzero: {}",
                message(&error)
            ));
            Ok(None)
        }
    }
}

fn inference_table(out: &Output, rows: &[Row]) -> String {
    let mut columns = COLUMNS.to_vec();
    columns.push(("speed / candle", Column::Number));
    let mut table = Table::new(out, &columns);
    for row in rows {
        let what = match row.net {
            Subject::Pruned => row.what.as_str().to_owned(),
            Subject::Original => format!("{}, before", row.what.as_str()),
        };
        let mut texts = texts(&what, [row.batch, row.threads], [row.median_us, row.p99_us]);
        // A shrunk net is compared with the original, which comes last.
        let candle = rows
            .iter()
            .rfind(|other| other.batch == row.batch && other.what == Engine::Candle);
        texts.push(candle.map_or_else(String::new, |candle| {
            times(candle.median_us / row.median_us)
        }));
        table.row(texts);
    }
    table.into_text()
}

/// Times a recipe's training step.
fn training_step(name: &OsStr, args: &BenchArgs, context: &Context) -> anyhow::Result<()> {
    let chosen = recipe::choose(name, &args.changes, None)?;
    let data = files::load_data(&chosen.data, &args.changes.dir)?;
    let bench = StepBench {
        threads: context.threads,
        steps: args.steps.get(),
        ..StepBench::default()
    };
    let row = bench.run(&chosen.net, &chosen.recipe, &data, None)?;
    let out = &context.out;
    if out.is_json() {
        return out.object(&Timings::new(vec![row])?);
    }
    out.text(&step_table(out, &row))
}

fn step_table(out: &Output, row: &StepTime) -> String {
    let mut table = Table::new(out, &COLUMNS);
    table.row(texts(
        row.what,
        [row.batch, row.threads],
        [row.median_us, row.p99_us],
    ));
    table.into_text()
}

fn texts(what: &str, counts: [usize; 2], microseconds: [f64; 2]) -> Vec<String> {
    let counts = counts.map(|number| count(number as u64));
    let times = microseconds.map(micros);
    let texts = [what.to_owned()].into_iter().chain(counts).chain(times);
    texts.collect()
}
