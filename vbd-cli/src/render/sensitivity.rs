//! Text output of `vbd inspect --sensitivity`.

use vbd_prune::sensitivity::Measured;

use super::report::show_warnings;
use super::{Column, Output, Table, count, loss, percent, printable};
use crate::verbs::SensitivityReport;

/// Prints a sensitivity as JSON, with the report, or as a table.
pub(crate) fn show_sensitivity(out: &Output, shown: &SensitivityReport<'_>) -> anyhow::Result<()> {
    show_warnings(shown.report);
    if out.is_json() {
        return out.object(shown);
    }
    out.text(&text(out, shown))
}

fn text(out: &Output, shown: &SensitivityReport<'_>) -> String {
    let uncut = shown.measured.uncut;
    let title = match uncut {
        Measured::Classes { .. } => "error %",
        Measured::Values { .. } => "loss",
    };
    let columns = [
        ("layer", Column::Text),
        ("threshold", Column::Number),
        ("kept", Column::Number),
        ("zeros %", Column::Number),
        (title, Column::Number),
        ("change", Column::Number),
    ];
    let mut table = Table::new(out, &columns).spare(&["change"]);
    for layer in &shown.measured.layers {
        for (number, row) in layer.rows.iter().enumerate() {
            let name = if number == 0 { &layer.name[..] } else { "" };
            table.row([
                name.to_owned(),
                format!("{:.2}", row.threshold),
                count(row.nnz as u64),
                percent(row.sparsity),
                value(row.measured),
                if number == 0 {
                    String::new()
                } else {
                    change(uncut, row.measured)
                },
            ]);
        }
    }
    let on = &shown.measured_on;
    let samples = count(on.samples as u64);
    let (data, split) = (printable(&on.data), on.split);
    format!(
        "{}: {} on {samples} {split} samples of {data}\n{}\nEach row cuts one layer at a lower threshold of \
         log_alpha; the first has the training's.",
        printable(&shown.report.model),
        match uncut {
            Measured::Classes { .. } => format!("{} % error", value(uncut)),
            Measured::Values { .. } => format!("loss {}", value(uncut)),
        },
        table.into_text(),
    )
}

fn value(measured: Measured) -> String {
    match measured {
        Measured::Classes { test_error, .. } => percent(test_error),
        Measured::Values { test_loss } => loss(test_loss),
    }
}

/// Returns the change in percentage points, or the loss relative to the uncut one.
fn change(uncut: Measured, cut: Measured) -> String {
    match (uncut, cut) {
        (Measured::Values { test_loss: before }, Measured::Values { test_loss }) => {
            format!("{:+.1} %", 100.0 * (test_loss / before - 1.0))
        }
        _ => format!("{:+.2}", 100.0 * (cut.value() - uncut.value())),
    }
}
