//! Answers of a network, and their table.

use serde::Serialize;
use vbd_prune::Prediction;

use crate::render::{Column, Output, Table, bar, loss, percent, printable};

/// Width of a probability's or a loss's bar.
const BAR: usize = 20;

/// An input and the network's answer.
#[derive(Debug, Serialize)]
pub(super) struct PredictResult {
    pub(super) input: String,
    /// Label of the sample in the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<u8>,
    #[serde(flatten)]
    pub(super) answer: Answer,
}

/// An input without an answer.
#[derive(Debug, Serialize)]
pub(super) struct FailedInput<'a> {
    pub(super) input: &'a str,
    pub(super) error: &'a str,
}

/// Output of the network for one input.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Class {
        class: usize,
        probabilities: Vec<f32>,
    },
    /// Outputs of a network without classes and their mean squared error.
    Values { loss: f64, output: Vec<f32> },
}

impl Answer {
    pub(super) fn of(prediction: Prediction) -> Self {
        match prediction {
            Prediction::Classes(probabilities) => {
                let most = probabilities
                    .iter()
                    .copied()
                    .fold(f32::NEG_INFINITY, f32::max);
                let mut places = probabilities.iter();
                Self::Class {
                    class: places
                        .position(|&probability| probability >= most)
                        .unwrap_or(0),
                    probabilities,
                }
            }
            Prediction::Values { outputs, loss } => Self::Values {
                loss,
                output: outputs,
            },
        }
    }
}

impl PredictResult {
    /// Describes the answer in short lines, to stand beside a picture.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![printable(&self.input).into_owned()];
        match &self.answer {
            Answer::Class {
                class,
                probabilities,
            } => {
                let probability = percent(f64::from(probabilities[*class]));
                lines.push(format!("class {class}, {probability} %"));
            }
            Answer::Values { loss: value, .. } => lines.push(format!("loss {}", loss(*value))),
        }
        lines.extend(self.label.map(|label| format!("label {label}")));
        lines
    }
}

/// Formats the answers as a table.
pub(super) fn table(out: &Output, predictions: &[PredictResult]) -> String {
    let has_labels = predictions
        .iter()
        .any(|prediction| prediction.label.is_some());
    let has_classes = predictions
        .iter()
        .any(|prediction| matches!(prediction.answer, Answer::Class { .. }));
    let mut columns = vec![("input", Column::Text)];
    columns.extend(has_classes.then_some(("class", Column::Number)));
    columns.extend(has_labels.then_some(("label", Column::Number)));
    columns.push(if has_classes {
        ("probability %", Column::Number)
    } else {
        ("loss", Column::Number)
    });
    columns.push(("", Column::Bar));
    // Bars of losses are relative to the largest loss.
    let losses = predictions
        .iter()
        .map(|prediction| match prediction.answer {
            Answer::Values { loss, .. } => loss,
            Answer::Class { .. } => 0.0,
        });
    let largest = losses.fold(f64::MIN_POSITIVE, f64::max);
    let mut table = Table::new(out, &columns);
    for PredictResult {
        input,
        label,
        answer,
    } in predictions
    {
        let label = label.map(|label| label.to_string());
        let mut row = vec![input.clone()];
        match answer {
            Answer::Class {
                class,
                probabilities,
            } => {
                let probability = f64::from(probabilities[*class]);
                row.push(class.to_string());
                row.extend(label);
                row.extend([percent(probability), bar(probability, BAR)]);
            }
            Answer::Values { loss: value, .. } => {
                row.extend(label);
                row.extend([loss(*value), bar(value / largest, BAR)]);
            }
        }
        table.row(row);
    }
    table.into_text()
}
