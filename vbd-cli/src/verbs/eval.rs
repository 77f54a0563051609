//! `vbd eval`: a file's error on a data set.

use serde::Serialize;

use super::Finished;
use crate::args::EvalArgs;
use crate::files;
use crate::render::{Column, Output, Table, count, percent};

/// A file's error on a data set.
#[derive(Debug, Serialize)]
pub(crate) struct Evaluated {
    data: String,
    split: &'static str,
    samples: usize,
    wrong: usize,
    /// A fraction, whatever the split.
    pub(crate) test_error: f64,
    nll: f64,
}

pub(crate) fn run(args: &EvalArgs, out: &Output) -> anyhow::Result<Finished> {
    let (net, runnable) = files::open_net(&args.file)?;
    let asked = (args.file.as_path(), args.data.as_deref());
    let data = files::load_data_for(&net, asked, &args.dir)?;
    let evaluation = runnable.evaluate(files::split_of(&data, args.split))?;
    let evaluated = Evaluated {
        data: data.name,
        split: args.split.as_str(),
        samples: evaluation.samples,
        wrong: evaluation.wrong,
        test_error: evaluation.test_error(),
        nll: evaluation.nll,
    };
    show(out, &evaluated)?;
    Ok(Finished::Evaluated(evaluated))
}

fn show(out: &Output, evaluated: &Evaluated) -> anyhow::Result<()> {
    if out.is_json() {
        return out.object(evaluated);
    }
    let columns = [
        ("data", Column::Text),
        ("split", Column::Text),
        ("samples", Column::Number),
        ("wrong", Column::Number),
        ("error %", Column::Number),
        ("nll", Column::Number),
    ];
    let mut table = Table::new(out, &columns);
    table.row([
        evaluated.data.clone(),
        evaluated.split.to_owned(),
        count(evaluated.samples as u64),
        count(evaluated.wrong as u64),
        percent(evaluated.test_error),
        format!("{:.4}", evaluated.nll),
    ]);
    out.text(&table.into_text())
}
