//! View of a run: one line per epoch and a progress bar of its steps.

use indicatif::ProgressBar;
use vbd_core::train::{EpochReport, Event};

use super::progress::step_bar;
use super::{ClosedPipe, Output, Paint, loss, percent, ratio, say};

/// Shows a run's events.
pub(crate) struct EpochView {
    out: Output,
    epochs: usize,
    columns: Option<Vec<Column>>,
    bar: ProgressBar,
    last: Option<EpochReport>,
    problem: Option<anyhow::Error>,
}

impl EpochView {
    /// Creates the view of a run of `epochs` epochs.
    pub(crate) fn new(out: &Output, epochs: usize) -> Self {
        let (columns, last, problem) = (None, None, None);
        Self {
            out: out.clone(),
            epochs,
            columns,
            bar: step_bar(),
            last,
            problem,
        }
    }

    /// Shows an event. A closed pipe does not stop the run.
    pub(crate) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Step {
                epoch,
                step,
                steps,
                nll,
            } => {
                self.bar.set_length(*steps as u64);
                self.bar.set_position(*step as u64);
                self.bar
                    .set_message(format!("{epoch}/{}, nll {nll:.4}", self.epochs));
            }
            Event::Epoch(report) => {
                if self.problem.is_none() {
                    self.problem = self.show_epoch(report).err();
                }
                self.last = Some((*report).clone());
            }
            _ => {}
        }
    }

    fn show_epoch(&mut self, report: &EpochReport) -> anyhow::Result<()> {
        let out = self.out.clone();
        if out.is_json() {
            return self.bar.suspend(|| out.object(report));
        }
        let mut text = String::new();
        let columns = self.columns.get_or_insert_with(|| {
            let columns = fitted(columns_of(report, self.epochs), out.width());
            let titles = columns.iter().map(|column| column.title.clone());
            text = Paint::Bold.apply(&line(&columns, titles), out.colours()) + "\n";
            columns
        });
        let values = columns
            .iter()
            .map(|column| column.quantity.text(report, self.epochs));
        text += &line(columns, values);
        self.bar.suspend(|| out.text(&text))
    }

    /// Ends the view. Returns the last epoch's report.
    ///
    /// # Errors
    /// If a line could not be written. A closed pipe is not an error.
    pub(crate) fn finish(self) -> anyhow::Result<Option<EpochReport>> {
        self.bar.finish_and_clear();
        match self.problem {
            Some(problem) if problem.is::<ClosedPipe>() => {
                say("stdout was closed: see the run's metrics.jsonl for the epochs");
                Ok(self.last)
            }
            Some(problem) => Err(problem),
            None => Ok(self.last),
        }
    }
}

/// Quantity shown in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Epoch,
    Loss,
    Nll,
    Kl,
    Error,
    TestLoss,
    ValidationError,
    ValidationLoss,
    Ratio,
    /// Units kept by all gates.
    Units,
    Gate(usize),
    Layer(usize),
    Seconds,
}

impl Quantity {
    fn text(self, report: &EpochReport, epochs: usize) -> String {
        match self {
            Self::Epoch => format!("{}/{epochs}", report.epoch),
            Self::Loss => format!("{:.4}", report.loss),
            Self::Nll => format!("{:.4}", report.nll),
            Self::Kl => format!("{:.0}", report.kl),
            Self::Error => report.test_error.map_or_else(String::new, percent),
            Self::TestLoss => report.test_loss.map_or_else(String::new, loss),
            Self::ValidationError => report.validation_error.map_or_else(String::new, percent),
            Self::ValidationLoss => report.validation_loss.map_or_else(String::new, loss),
            Self::Ratio => ratio(report.compression_ratio),
            Self::Units => {
                let kept: usize = report.gates.iter().map(|gate| gate.kept).sum();
                kept.to_string()
            }
            Self::Gate(gate) => report
                .gates
                .get(gate)
                .map_or_else(String::new, |gate| gate.kept.to_string()),
            Self::Layer(layer) => report
                .layers
                .get(layer)
                .map_or_else(String::new, |l| format!("{:.1}", l.sparsity * 100.0)),
            Self::Seconds => format!("{:.1}", report.seconds),
        }
    }

    /// Rank for dropping columns on a narrow terminal; the largest is dropped first, 0 never.
    fn dispensable(self) -> usize {
        match self {
            Self::Epoch | Self::Error | Self::TestLoss | Self::Ratio | Self::Units => 0,
            Self::ValidationError | Self::ValidationLoss => 1,
            Self::Loss => 2,
            Self::Seconds => 3,
            Self::Gate(gate) => 4 + gate,
            Self::Layer(layer) => usize::MAX / 2 + layer,
            Self::Nll => usize::MAX - 1,
            Self::Kl => usize::MAX,
        }
    }
}

#[derive(Debug, Clone)]
struct Column {
    quantity: Quantity,
    title: String,
    width: usize,
}

fn columns_of(report: &EpochReport, epochs: usize) -> Vec<Column> {
    let column = |quantity, title: &str, width: usize| Column {
        quantity,
        title: title.to_owned(),
        width: width.max(title.chars().count()),
    };
    let mut columns = vec![
        column(Quantity::Epoch, "epoch", format!("{epochs}/{epochs}").len()),
        column(Quantity::Loss, "loss", 7),
        column(Quantity::Nll, "nll", 7),
        column(Quantity::Kl, "kl", 8),
    ];
    columns.push(match report.test_loss {
        Some(_) => column(Quantity::TestLoss, "test loss", 9),
        None => column(Quantity::Error, "error %", 6),
    });
    if report.validation_error.is_some() {
        columns.push(column(Quantity::ValidationError, "held-out %", 6));
    }
    if report.validation_loss.is_some() {
        columns.push(column(Quantity::ValidationLoss, "held-out loss", 9));
    }
    columns.push(column(Quantity::Ratio, "ratio x", 6));
    if !report.gates.is_empty() {
        columns.push(column(Quantity::Units, "units", 5));
    }
    for (index, gate) in report.gates.iter().enumerate() {
        columns.push(column(Quantity::Gate(index), &gate.after, 4));
    }
    // Gates remove whole rows and columns, so layer columns would repeat theirs.
    let layers = report.layers.iter().filter(|_| report.gates.is_empty());
    for (index, layer) in layers.enumerate() {
        columns.push(column(
            Quantity::Layer(index),
            &format!("{} 0 %", layer.name),
            5,
        ));
    }
    columns.push(column(Quantity::Seconds, "s", 6));
    columns
}

/// Drops columns until the rest fit the width.
fn fitted(mut columns: Vec<Column>, width: Option<usize>) -> Vec<Column> {
    let needed = |columns: &[Column]| columns.iter().map(|column| column.width + 2).sum::<usize>();
    while width.is_some_and(|width| needed(&columns) > width + 2) {
        let last = columns
            .iter()
            .enumerate()
            .max_by_key(|(_, column)| column.quantity.dispensable());
        match last {
            Some((place, column)) if column.quantity.dispensable() > 0 => columns.remove(place),
            _ => break,
        };
    }
    columns
}

fn line(columns: &[Column], texts: impl Iterator<Item = String>) -> String {
    let cells = columns
        .iter()
        .zip(texts)
        .map(|(column, text)| format!("{text:>width$}", width = column.width));
    cells.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> EpochReport {
        let layer =
            |name| serde_json::json!({"name": name, "numel": 10, "nnz": 1, "sparsity": 0.9});
        let json = serde_json::json!({
            "epoch": 3, "loss": 0.5, "nll": 0.25, "kl": 1234.5, "kl_scale": 1.0, "lr": 1e-3,
            "test_error": 0.0179, "test_nll": 0.1, "numel": 20, "nnz": 2, "compression_ratio": 10.0,
            "layers": [layer("fc1"), layer("fc2")],
            "train_seconds": 1.0, "seconds": 1.5, "eta_seconds": 9.0,
        });
        serde_json::from_value(json).unwrap()
    }

    fn shown(width: Option<usize>) -> [String; 2] {
        let report = report();
        let columns = fitted(columns_of(&report, 20), width);
        let titles = line(&columns, columns.iter().map(|column| column.title.clone()));
        [
            titles,
            line(
                &columns,
                columns
                    .iter()
                    .map(|column| column.quantity.text(&report, 20)),
            ),
        ]
    }

    #[test]
    fn a_line_has_all_columns_under_their_titles() {
        let [titles, values] = shown(None);
        assert_eq!(
            titles,
            "epoch     loss      nll        kl  error %  ratio x  fc1 0 %  fc2 0 %       s"
        );
        assert_eq!(
            values,
            " 3/20   0.5000   0.2500      1234     1.79     10.0     90.0     90.0     1.5"
        );
    }

    #[test]
    fn a_net_without_classes_has_its_loss_in_place_of_the_error() {
        let report = EpochReport {
            test_error: None,
            test_nll: None,
            test_loss: Some(0.01794),
            validation_loss: Some(0.02),
            ..report()
        };
        let columns = columns_of(&report, 20);
        let titles = line(&columns, columns.iter().map(|column| column.title.clone()));
        let values = columns
            .iter()
            .map(|column| column.quantity.text(&report, 20));
        assert!(
            titles.contains("test loss  held-out loss  ratio x"),
            "{titles}"
        );
        assert!(!titles.contains("error"), "{titles}");
        assert!(line(&columns, values).contains("  0.01794        0.02000 "));
    }

    #[test]
    fn a_narrow_line_leaves_out_the_least_first() {
        for width in [79, 60, 40, 30] {
            let [titles, values] = shown(Some(width));
            assert!(titles.len() <= width && values.len() <= width, "{titles}");
            assert!(
                titles.contains("error %") && titles.contains("ratio x"),
                "{titles}"
            );
        }
        assert!(!shown(Some(70))[0].contains("kl"));
        assert!(!shown(Some(1))[0].contains("loss"));
    }
}
