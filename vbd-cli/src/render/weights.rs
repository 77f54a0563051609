//! What `vbd inspect` shows of a weights file.

use vbd_prune::report::WeightsReport;

use super::{Column, Output, Paint, Table, bytes, count, percent, printable, ratio, times};

/// Shows a report: as JSON, or as a table for people.
pub(crate) fn show_weights(out: &Output, report: &WeightsReport) -> anyhow::Result<()> {
    if out.is_json() {
        return out.object(report);
    }
    let columns = [
        ("weight", Column::Text),
        ("shape", Column::Text),
        ("weights", Column::Number),
        ("kept", Column::Number),
        ("zeros %", Column::Number),
        ("layout", Column::Text),
        ("bytes", Column::Number),
        ("inputs", Column::Number),
        ("outputs", Column::Number),
    ];
    let mut table = Table::new(out, &columns).spare(&["outputs", "inputs", "bytes", "shape"]);
    for layer in &report.layers {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        table.row([
            layer.name.clone(),
            shape.join("x"),
            count(layer.numel as u64),
            count(layer.nnz as u64),
            percent(layer.sparsity),
            layer.layout.to_owned(),
            count(layer.bytes),
            count(layer.live_inputs as u64),
            count(layer.live_outputs as u64),
        ]);
    }
    let headline = format!(
        "weights file, version {}, {} values, no network",
        report.version, report.values
    );
    let mut lines = vec![
        Paint::Bold.apply(&headline, out.colours()),
        table.into_text(),
        format!(
            "ratio       {} x fewer weights, other tensors excluded",
            ratio(report.compression_ratio)
        ),
        format!(
            "size        {}; dense {}: {} x smaller",
            bytes(report.bytes),
            bytes(report.dense_bytes),
            times(report.size_ratio)
        ),
    ];
    if let Some(threshold) = report.threshold {
        lines.push(format!("kept        log_alpha under {threshold}"));
    }
    if !report.others.is_empty() {
        lines.push(format!(
            "others      {}",
            printable(&report.others.join(", "))
        ));
    }
    out.text(&lines.join("\n"))
}
