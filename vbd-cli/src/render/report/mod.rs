//! Text output of `vbd inspect`.

use serde_json::Value;
use vbd_core::recipe::is_tempered;
use vbd_net::format::Provenance;
use vbd_net::runtime::Kernel;
use vbd_prune::Report;
use vbd_prune::report::{LayerReport, Structure, UnitCount};

use super::{
    Column, Output, Paint, Table, bar, bytes, count, histogram, loss, percent, printable, ratio,
    times,
};

/// Width of a layer's density bar.
const BAR: usize = 16;

/// Prints a report as JSON or as tables.
pub(crate) fn show_report(out: &Output, report: &Report) -> anyhow::Result<()> {
    show_warnings(report);
    if out.is_json() {
        return out.object(report);
    }
    out.text(&report_text(out, report))
}

/// Logs the warnings of a report.
pub(super) fn show_warnings(report: &Report) {
    for warning in report.warnings() {
        tracing::warn!("{warning}");
    }
}

/// Formats a report as tables.
fn report_text(out: &Output, report: &Report) -> String {
    let mut lines = vec![
        Paint::Bold.apply(&printable(&headline(report)), out.colours()),
        layers(out, report),
    ];
    lines.extend(
        facts(report)
            .into_iter()
            .map(|(name, value)| format!("{name:<12}{}", printable(&value))),
    );
    if let Some(log_alpha) = &report.log_alpha {
        lines.extend([String::new(), histogram::caption(log_alpha)]);
        lines.extend(histogram::lines(log_alpha, report.threshold));
    }
    lines.join("\n")
}

fn headline(report: &Report) -> String {
    let values = report
        .values
        .map_or_else(String::new, |values| format!(", {values} values"));
    format!(
        "{}: {} file, version {}{values}",
        report.model, report.format, report.version
    )
}

fn layers(out: &Output, report: &Report) -> String {
    let columns = [
        ("layer", Column::Text),
        ("kind", Column::Text),
        ("shape", Column::Text),
        ("weights", Column::Number),
        ("kept", Column::Number),
        ("zeros %", Column::Number),
        ("density", Column::Bar),
        ("layout", Column::Text),
        ("bytes", Column::Number),
        ("inputs", Column::Number),
        ("outputs", Column::Number),
        ("kernel", Column::Text),
        ("mul-adds", Column::Number),
    ];
    // The bar repeats the zeros' share, and the lines below the table show total bytes and
    // multiply-adds.
    let spare = [
        "outputs", "inputs", "kind", "bytes", "density", "layout", "shape", "mul-adds", "kernel",
    ];
    let mut table = Table::new(out, &columns).spare(&spare);
    for layer in &report.layers {
        table.row(layer_row(layer));
    }
    let mut total = vec!["all".to_owned(), String::new(), String::new()];
    total.extend([
        count(report.numel as u64),
        count(report.nnz as u64),
        percent(report.sparsity),
    ]);
    total.push(bar(1.0 - report.sparsity, BAR));
    total.extend([
        String::new(),
        count(report.layers.iter().map(|layer| layer.bytes).sum()),
        String::new(),
        String::new(),
        String::new(),
        multiply_adds(report).map_or_else(String::new, |sum| count(sum as u64)),
    ]);
    table.row(total);
    table.into_text()
}

/// Returns the multiply-adds per sample of all layers, or `None` if the net is too large to run.
fn multiply_adds(report: &Report) -> Option<usize> {
    let layers = report.layers.iter();
    layers.map(|layer| layer.multiply_adds).sum()
}

fn layer_row(layer: &LayerReport) -> [String; 13] {
    let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
    [
        layer.name.clone(),
        layer.kind.as_str().to_owned(),
        shape.join("x"),
        count(layer.numel as u64),
        count(layer.nnz as u64),
        percent(layer.sparsity),
        bar(1.0 - layer.sparsity, BAR),
        layer.layout.to_owned(),
        count(layer.bytes),
        format!("{}/{}", layer.live_inputs, layer.shape[1]),
        format!("{}/{}", layer.live_outputs, layer.shape[0]),
        kernels(layer),
        layer
            .multiply_adds
            .map_or_else(String::new, |number| count(number as u64)),
    ]
}

/// Names a layer's kernel: `sparse`, or `sparse/dense` if a single sample uses another one.
fn kernels(layer: &LayerReport) -> String {
    match (layer.kernel, layer.kernel_one) {
        (Some(many), Some(one)) if many != one => {
            format!("{}/{}", kernel_word(many), kernel_word(one))
        }
        (many, _) => many.map_or("", kernel_word).to_owned(),
    }
}

fn kernel_word(kernel: Kernel) -> &'static str {
    match kernel {
        Kernel::Sparse => "sparse",
        Kernel::Dense => "dense",
        Kernel::Taps => "taps",
        Kernel::None => "none",
        _ => "other",
    }
}

/// Describes the units kept of each layer, such as `179-160-60 of 784-500-300`. Empty if all are.
fn structure_facts(structure: &Structure) -> Vec<(&'static str, String)> {
    let chain = |number: &dyn Fn(&UnitCount) -> usize| {
        let numbers = structure
            .units
            .iter()
            .map(|count| number(count).to_string());
        numbers.collect::<Vec<_>>().join("-")
    };
    let (before, after) = (chain(&|count| count.units), chain(&|count| count.kept));
    if before == after {
        return Vec::new();
    }
    let names: Vec<&str> = structure
        .units
        .iter()
        .map(|count| &count.name[..])
        .collect();
    let change = |before: usize, after: usize| {
        let ratio = times(before as f64 / after.max(1) as f64);
        format!(
            "{} of {}, {ratio} x fewer",
            count(after as u64),
            count(before as u64)
        )
    };
    let made = if structure.is_made {
        ""
    } else {
        "; remove the others with --structured"
    };
    vec![
        (
            "units",
            format!("{after} of {before} ({}){made}", names.join("-")),
        ),
        (
            "parameters",
            change(structure.parameters_before, structure.parameters_after),
        ),
        (
            "mul-adds",
            change(
                structure.multiply_adds_before,
                structure.multiply_adds_after,
            ) + ", dense",
        ),
    ]
}

/// Returns names and KL weights from a recipe's tables. `key` is the field with the name.
fn kl_weights(tables: &[Value], key: &str) -> Vec<(String, f64)> {
    let weight = |table: &Value| {
        let name = match table.get(key)? {
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                names.collect::<Vec<_>>().join("+")
            }
            name => name.as_str()?.to_owned(),
        };
        let kl_weight = table.get("kl_weight").and_then(Value::as_f64);
        Some((name, kl_weight.unwrap_or(1.0)))
    };
    tables.iter().filter_map(weight).collect()
}

/// Returns whether a gate's kind leaves nothing in the pruned net.
fn is_noise_alone(gate: &Value) -> bool {
    let kind = gate.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| kind != "normal")
}

/// Describes the noise of gates, as `bernoulli after fc1`.
fn noises(gates: &[Value]) -> String {
    let word = |gate: &Value, key| gate.get(key).and_then(Value::as_str).map(str::to_owned);
    let noise = gates.iter().filter_map(|gate| {
        let (kind, after) = (word(gate, "kind")?, word(gate, "after")?);
        Some(format!("{kind} after {after}"))
    });
    noise.collect::<Vec<_>>().join(", ")
}

/// Returns the lines below the table, as label and text.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (
            "ratio",
            format!(
                "{} x fewer weights{}, biases excluded",
                ratio(report.compression_ratio),
                if report.structure.is_made {
                    " within the shrunk net"
                } else {
                    ""
                }
            ),
        ),
        (
            "size",
            format!(
                "{} instead of {} dense, {} x smaller",
                bytes(report.bytes),
                bytes(report.dense_bytes),
                times(report.size_ratio)
            ),
        ),
    ];
    if let Some(sum) = multiply_adds(report) {
        let differ = |layer: &LayerReport| layer.kernel != layer.kernel_one;
        let kernels = if report.layers.iter().any(differ) {
            "; kernels are for batches/single samples"
        } else {
            ""
        };
        let sum = count(sum as u64);
        facts.push(("work", format!("{sum} multiply-adds per sample{kernels}")));
    }
    facts.extend(structure_facts(&report.structure));
    if let Some(threshold) = report.threshold {
        facts.push(("kept", format!("log_alpha below {threshold}")));
    }
    let methods = || report.method.iter();
    let layers = methods().flat_map(|method| {
        let rules = kl_weights(&method.rules, "weights");
        [kl_weights(&method.layers, "name"), rules].concat()
    });
    let (noise, gates): (Vec<Value>, Vec<Value>) = methods()
        .flat_map(|method| method.gates.iter().cloned())
        .partition(is_noise_alone);
    if !noise.is_empty() {
        facts.push(("noise", format!("{} (in training only)", noises(&noise))));
    }
    for (label, own) in [
        ("layers", layers.collect::<Vec<_>>()),
        ("gates", kl_weights(&gates, "after")),
    ] {
        if !own.is_empty() {
            let base = report.provenance.kl_weight.unwrap_or(1.0);
            let tempered = if own.iter().any(|(_, weight)| is_tempered(weight * base)) {
                " (a tempered posterior)"
            } else {
                ""
            };
            let own = own.iter().map(|(name, weight)| format!("{name} {weight}"));
            let own = own.collect::<Vec<_>>().join(", ");
            facts.push((label, format!("KL weights {own}{tempered}")));
        }
    }
    facts.extend(provenance_facts(&report.provenance));
    facts
}

/// Returns what is known of a net's training.
fn provenance_facts(provenance: &Provenance) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if !provenance.folded.is_empty() {
        let norms = provenance.folded.iter();
        let norms = norms.map(|(norm, layer)| format!("{norm} into {layer}"));
        facts.push(("folded", norms.collect::<Vec<_>>().join(", ")));
    }
    if let Some(recipe) = &provenance.recipe {
        facts.push(("recipe", recipe.clone()));
    }
    let mut trained = Vec::new();
    trained.extend(provenance.epochs.map(|epochs| format!("{epochs} epochs")));
    trained.extend(provenance.data.as_ref().map(|data| format!("on {data}")));
    trained.extend(
        provenance
            .n_train
            .map(|samples| format!("({} samples)", count(samples as u64))),
    );
    trained.extend(provenance.seed.map(|seed| format!("seed {seed}")));
    trained.extend(
        provenance
            .kl_weight
            .filter(|&weight| is_tempered(weight))
            .map(|weight| format!("KL weight {weight} (a tempered posterior)")),
    );
    if !trained.is_empty() {
        facts.push(("trained", trained.join(" ")));
    }
    if let Some(start) = &provenance.start {
        facts.push(("from", start.clone()));
    }
    if let Some(error) = provenance.test_error {
        facts.push((
            "test error",
            format!("{} % as measured during training", percent(error)),
        ));
    }
    if let Some(test_loss) = provenance.test_loss {
        facts.push((
            "test loss",
            format!("{} as measured during training", loss(test_loss)),
        ));
    }
    facts
}

#[cfg(test)]
mod hostile;
