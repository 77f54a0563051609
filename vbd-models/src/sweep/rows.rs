//! The results of a sweep: a row's figures over its seeds.

use serde::Serialize;
use vbd_core::train::EpochReport;

use super::{PaperFigures, PlannedRun, Select};

/// Figures of a finished run at the epoch that counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunResult {
    /// Error of a classifier, on the test samples or, chosen by validation, on those held out.
    pub error: Option<f64>,
    /// The same for the squared error of other networks.
    pub loss: Option<f64>,
    /// All weights to nonzero weights; `None` if none is left.
    pub compression_ratio: Option<f64>,
}

impl RunResult {
    /// Returns the figures of a run from its epochs; `None` if no epoch qualifies. With
    /// [`Select::Validation`], of several epochs with the same error the last one counts, as for `best`.
    pub fn of(epochs: &[EpochReport], select: Select, select_ratio: f64) -> Option<Self> {
        let value = |epoch: &EpochReport| epoch.validation_error.or(epoch.validation_loss);
        let epoch = match select {
            Select::Last => epochs.last()?,
            Select::Validation => {
                let pruned = epochs.iter().filter(|epoch| {
                    let ratio = epoch.compression_ratio;
                    ratio.is_none_or(|ratio| ratio >= select_ratio) && value(epoch).is_some()
                });
                let order = |a: &&EpochReport, b: &&EpochReport| {
                    let [a, b] = [a, b].map(|epoch| value(epoch).unwrap_or(f64::INFINITY));
                    a.total_cmp(&b)
                };
                pruned.rev().min_by(order)?
            }
        };
        let (error, loss) = match select {
            Select::Last => (epoch.test_error, epoch.test_loss),
            Select::Validation => (epoch.validation_error, epoch.validation_loss),
        };
        Some(Self {
            error,
            loss,
            compression_ratio: epoch.compression_ratio,
        })
    }
}

/// Median and spread over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Median; of an even number, the mean of the middle two.
    pub median: f64,
    /// Least value.
    pub least: f64,
    /// Largest value.
    pub most: f64,
}

impl Spread {
    /// Returns the spread of values; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = [(values.len() - 1) / 2, values.len() / 2].map(|at| values[at]);
        Some(Self {
            median: 0.5 * (middle[0] + middle[1]),
            least,
            most,
        })
    }
}

/// A row of a sweep's table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowResult {
    /// Name of the row.
    pub name: String,
    /// Seeds of the finished runs.
    pub seeds: Vec<u64>,
    /// Test error, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_error: Option<Spread>,
    /// Error on the samples held out, of a sweep that chooses by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_error: Option<Spread>,
    /// Test loss of networks that are no classifiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<Spread>,
    /// The same on the samples held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<Spread>,
    /// All weights to nonzero weights, of the runs that have some left.
    pub compression_ratio: Option<Spread>,
    /// The paper's figures.
    pub paper: Option<PaperFigures>,
}

impl RowResult {
    /// Collects the rows of a sweep, in its order, from the results of its finished runs.
    pub fn all(runs: &[PlannedRun], results: &[Option<RunResult>], select: Select) -> Vec<Self> {
        let mut rows: Vec<(&PlannedRun, Vec<(u64, RunResult)>)> = Vec::new();
        for (run, result) in runs.iter().zip(results) {
            let result = result.map(|result| (run.seed, result));
            match rows.last_mut().filter(|(first, _)| first.row == run.row) {
                Some((_, results)) => results.extend(result),
                None => rows.push((run, result.into_iter().collect())),
            }
        }
        let row = |(first, results): (&PlannedRun, Vec<(u64, RunResult)>)| {
            let spread = |of: fn(&RunResult) -> Option<f64>| {
                Spread::of(results.iter().filter_map(|(_, result)| of(result)))
            };
            let (error, loss) = (spread(|r| r.error), spread(|r| r.loss));
            let by_test = select == Select::Last;
            Self {
                name: first.row.clone(),
                seeds: results.iter().map(|(seed, _)| *seed).collect(),
                test_error: error.filter(|_| by_test),
                validation_error: error.filter(|_| !by_test),
                test_loss: loss.filter(|_| by_test),
                validation_loss: loss.filter(|_| !by_test),
                compression_ratio: spread(|r| r.compression_ratio),
                paper: first.paper,
            }
        };
        rows.into_iter().map(row).collect()
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are passed on")]
mod tests {
    use super::*;
    use crate::sweep::Sweep;

    fn epoch(number: usize, test: f64, validation: f64, ratio: f64) -> EpochReport {
        let line = format!(
            r#"{{"epoch":{number},"loss":1,"nll":1,"kl":0,"kl_scale":1,"lr":1e-3,"test_error":{test},
            "validation_error":{validation},"numel":10,"nnz":5,"compression_ratio":{ratio},"layers":[],
            "train_seconds":1,"seconds":1,"eta_seconds":0}}"#
        );
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn the_epoch_that_counts_is_the_last_or_the_best_on_held_out_samples() {
        let epochs = [
            epoch(1, 0.1, 0.01, 1.0),
            epoch(2, 0.2, 0.05, 3.0),
            epoch(3, 0.3, 0.05, 4.0),
            epoch(4, 0.4, 0.06, 5.0),
        ];
        let last = RunResult::of(&epochs, Select::Last, 2.0).unwrap();
        assert_eq!((last.error, last.compression_ratio), (Some(0.4), Some(5.0)));
        let best = RunResult::of(&epochs, Select::Validation, 2.0).unwrap();
        assert_eq!(
            (best.error, best.compression_ratio),
            (Some(0.05), Some(4.0))
        );
        assert_eq!(RunResult::of(&epochs, Select::Validation, 9.0), None);
        assert_eq!(RunResult::of(&[], Select::Last, 1.0), None);
    }

    #[test]
    fn rows_have_median_and_spread_of_their_finished_runs() {
        let text = "summary = ''\nseeds = [0, 1, 2]\n[[run]]\nname = 'a'\nrecipe = 'vbd'\n\
                    [[run]]\nname = 'b'\nrecipe = 'vd'\n";
        let runs = Sweep::from_toml(text, "s").unwrap().runs().unwrap();
        let result = |error| {
            Some(RunResult {
                error: Some(error),
                loss: None,
                compression_ratio: None,
            })
        };
        let results = [result(0.3), None, result(0.1), None, None, None];
        let rows = RowResult::all(&runs, &results, Select::Last);
        assert_eq!(
            (rows[0].name.as_str(), rows[0].seeds.as_slice()),
            ("a", &[0, 2][..])
        );
        let spread = rows[0].test_error.unwrap();
        assert_eq!([spread.median, spread.least, spread.most], [0.2, 0.1, 0.3]);
        assert_eq!((rows[1].name.as_str(), rows[1].test_error), ("b", None));
        let rows = RowResult::all(&runs, &results, Select::Validation);
        assert!(rows[0].test_error.is_none() && rows[0].validation_error.is_some());
    }
}
