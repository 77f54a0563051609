//! `vbd bench`: how long things take.

use serde::Serialize;
use vbd_core::train::{StepBench, StepTime};

use super::{Context, Finished};
use crate::args::BenchArgs;
use crate::render::{Column, Output, Table, count};
use crate::{files, recipe};

#[derive(Debug, Serialize)]
struct Timed {
    rows: Vec<StepTime>,
}

pub(crate) fn run(args: &BenchArgs, context: &Context) -> anyhow::Result<Finished> {
    let chosen = recipe::choose(&args.recipe, &args.changes)?;
    let data = files::load_data(&chosen.data, &args.changes.dir)?;
    let bench = StepBench {
        threads: context.threads,
        steps: args.steps.get(),
        ..StepBench::default()
    };
    let row = bench.run((&chosen.net, &chosen.recipe), &data, None)?;
    show(&context.out, &Timed { rows: vec![row] })?;
    Ok(Finished::Shown)
}

fn show(out: &Output, timed: &Timed) -> anyhow::Result<()> {
    if out.is_json() {
        return out.object(timed);
    }
    let columns = [
        ("what", Column::Text),
        ("batch", Column::Number),
        ("threads", Column::Number),
        ("median \u{b5}s", Column::Number),
        ("p99 \u{b5}s", Column::Number),
    ];
    let mut table = Table::new(out, &columns);
    for row in &timed.rows {
        table.row([
            row.what.to_owned(),
            count(row.batch as u64),
            count(row.threads as u64),
            format!("{:.1}", row.median_us),
            format!("{:.1}", row.p99_us),
        ]);
    }
    out.text(&table.into_text())
}
