//! Front matter of a model card.

use std::fmt::Write as _;

use super::{CardTarget, LIBRARY};
use crate::report::Report;

const TAGS: [&str; 5] = [
    "vbd",
    "candle",
    "sparse",
    "pruned",
    "variational-bayesian-dropout",
];

/// Task of a net that classifies images, and of any other that has classes.
const TASKS: [&str; 2] = ["image-classification", "tabular-classification"];

/// Writes the front matter, with the measured error if there is one.
pub(super) fn front_matter(report: &Report, is_images: bool, target: CardTarget<'_>) -> String {
    let mut yaml = format!("---\nlibrary_name: {LIBRARY}\n");
    let measured = Measured::of(report);
    let task = TASKS[usize::from(!is_images)];
    if report.loss == vbd_net::spec::Loss::CrossEntropy {
        let _ = writeln!(yaml, "pipeline_tag: {task}");
    }
    list(&mut yaml, "tags", &TAGS);
    if let Some(dataset) = target.dataset {
        list(&mut yaml, "datasets", &[dataset]);
    }
    if let Some(measured) = measured {
        list(&mut yaml, "metrics", &[measured.metric]);
        let data = report.provenance.data.as_deref().unwrap_or("unknown");
        let task = if measured.metric == "mse" {
            "other"
        } else {
            task
        };
        let _ = write!(
            yaml,
            "model-index:\n- name: {}\n  results:\n  - task:\n      type: {task}\n    dataset:\n      \
             name: {}\n      type: {}\n      split: test\n    metrics:\n    - type: {}\n      name: {}\n      \
             value: {}\n",
            quoted(&report.model),
            quoted(data),
            quoted(target.dataset.unwrap_or(data)),
            measured.metric,
            measured.name,
            measured.value,
        );
    }
    yaml + "---\n"
}

/// What was measured on the test set.
struct Measured {
    metric: &'static str,
    name: &'static str,
    value: f64,
}

impl Measured {
    fn of(report: &Report) -> Option<Self> {
        let accuracy = report.provenance.test_error.map(|error| Self {
            metric: "accuracy",
            name: "Test accuracy",
            value: 1.0 - error,
        });
        accuracy.or_else(|| {
            report.provenance.test_loss.map(|value| Self {
                metric: "mse",
                name: "Test mean squared error",
                value,
            })
        })
    }
}

fn list(yaml: &mut String, key: &str, values: &[&str]) {
    let _ = writeln!(yaml, "{key}:");
    for value in values {
        let _ = writeln!(yaml, "- {}", quoted(value));
    }
}

/// Writes a text as JSON, unless it is plain in YAML too.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
    let starts_plain = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts_plain && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
