//! The table of a sweep: on the terminal, as JSON, and as files in its directory.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use vbd_models::sweep::{RowResult, RunResult, Spread, Sweep};
use vbd_net::file;

use super::Run;
use crate::render::{Column, Output, Table, loss, percent, ratio, say};

/// The table as JSON.
#[derive(Serialize)]
struct Rows<'a> {
    rows: &'a [RowResult],
}

/// Shows the table of what is finished, and writes `table.json` and `table.md` into the sweep's directory.
pub(super) fn show(sweep: &Sweep, runs: &[Run], folder: &Path, out: &Output) -> anyhow::Result<()> {
    let results = runs.iter().map(|run| {
        // A run that cannot be read was shown as failed, and has no figures.
        let epochs = match run.finished() {
            Ok(epochs) => epochs?,
            Err(error) => {
                say(&format!(
                    "{}, seed {}: {error:#}",
                    run.planned.row, run.planned.seed
                ));
                return None;
            }
        };
        RunResult::of(&epochs, sweep.select, run.recipe.train.select_ratio)
    });
    let results: Vec<Option<RunResult>> = results.collect();
    let planned: Vec<_> = runs.iter().map(|run| run.planned.clone()).collect();
    let rows = RowResult::all(&planned, &results, sweep.select);
    let table = Rows { rows: &rows };
    if folder.is_dir() {
        let json = serde_json::to_string_pretty(&table).context("cannot write the table")?;
        file::write_atomic(&folder.join("table.json"), (json + "\n").as_bytes())?;
        let text = markdown(sweep, &rows);
        file::write_atomic(&folder.join("table.md"), text.as_bytes())?;
    }
    if out.is_json() {
        return out.object(&table);
    }
    let titles = titles(&rows);
    let columns = titles.iter().map(|&title| {
        let column = if title == "name" {
            Column::Text
        } else {
            Column::Number
        };
        (title, column)
    });
    let columns: Vec<(&str, Column)> = columns.collect();
    let mut shown = Table::new(out, &columns).spare(&["paper"]);
    for row in &rows {
        shown.row(cells(row, &titles));
    }
    out.text(&shown.into_text())
}

/// Returns the titles of the columns that have something in them.
fn titles(rows: &[RowResult]) -> Vec<&'static str> {
    let has = |of: fn(&RowResult) -> bool| rows.iter().any(of);
    let columns = [
        ("name", true),
        ("seeds", true),
        ("test error %", has(|row| row.test_error.is_some())),
        (
            "held-out error %",
            has(|row| row.validation_error.is_some()),
        ),
        ("test loss", has(|row| row.test_loss.is_some())),
        ("held-out loss", has(|row| row.validation_loss.is_some())),
        (
            "ratio",
            has(|row| row.compression_ratio.is_some_and(|ratio| ratio.most > 1.0)),
        ),
        ("paper", has(|row| row.paper.is_some())),
    ];
    let columns = columns.into_iter().filter(|(_, is_there)| *is_there);
    columns.map(|(title, _)| title).collect()
}

/// Returns a row's cells under these titles. What was not run is empty.
fn cells(row: &RowResult, titles: &[&str]) -> Vec<String> {
    let spread = |spread: Option<Spread>, text: fn(f64) -> String| match spread {
        Some(Spread {
            median,
            least,
            most,
        }) if least < most => {
            format!("{} ({} to {})", text(median), text(least), text(most))
        }
        Some(Spread { median, .. }) => text(median),
        None => String::new(),
    };
    let seeds: Vec<String> = row.seeds.iter().map(u64::to_string).collect();
    let times = |value: f64| format!("{}x", ratio(Some(value)));
    let paper = row.paper.map_or_else(String::new, |paper| {
        let error = paper
            .test_error
            .map(|error| format!("{} %", percent(error)));
        let ratio = paper.compression_ratio.map(times);
        let figures: Vec<String> = ratio.into_iter().chain(error).collect();
        figures.join(" at ")
    });
    let cell = |title: &&str| match *title {
        "name" => row.name.clone(),
        "seeds" => seeds.join(" "),
        "test error %" => spread(row.test_error, percent),
        "held-out error %" => spread(row.validation_error, percent),
        "test loss" => spread(row.test_loss, loss),
        "held-out loss" => spread(row.validation_loss, loss),
        "ratio" => spread(row.compression_ratio, times),
        _ => paper.clone(),
    };
    titles.iter().map(cell).collect()
}

/// Returns the table as Markdown.
fn markdown(sweep: &Sweep, rows: &[RowResult]) -> String {
    let titles = titles(rows);
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<String> = titles.iter().map(|&title| title.to_owned()).collect();
    let mut text = format!("{}\n\n{}", sweep.summary, line(&heads));
    text += &line(&vec!["---".to_owned(); titles.len()]);
    for row in rows {
        let cells = cells(row, &titles).into_iter();
        let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
        text += &line(&cells);
    }
    text
}
