//! Warns of a net that collapses while it trains.

use std::collections::BTreeSet;

use super::metrics::EpochReport;

/// What has collapsed so far in a run, so that each warning is given once.
#[derive(Debug, Default)]
pub(super) struct Collapse {
    is_constant: bool,
    /// Names of layers without weights.
    empty: BTreeSet<String>,
}

impl Collapse {
    /// Returns whether the output was constant after the last epoch.
    pub(super) fn is_constant(&self) -> bool {
        self.is_constant
    }

    /// Warns of layers that have no weights left and of a constant output, each when it happens.
    pub(super) fn warn(&mut self, report: &EpochReport) {
        let epoch = report.epoch;
        for layer in report.layers.iter().filter(|layer| layer.nnz == 0) {
            if self.empty.insert(layer.name.clone()) {
                tracing::warn!("epoch {epoch}: layer `{}` has no weights left", layer.name);
            }
        }
        if report.constant_output && !self.is_constant {
            tracing::warn!(
                "epoch {epoch}: the output is constant: every test sample gets the same answer"
            );
        }
        self.is_constant = report.constant_output;
    }
}
