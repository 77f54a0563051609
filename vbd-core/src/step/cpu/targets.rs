//! Targets of a batch: labels or values to compare the outputs with.

use vbd_net::spec::{Loss, NetSpec, Normalizer};

use super::gather::gather;
use super::geometry::narrow;
use crate::data::Batch;
use crate::kernels::buffer::Buffer;
use crate::loss::Targets;

/// Targets of a batch.
pub(super) struct BatchTargets {
    pub(super) samples: usize,
    /// Labels, for a classifier.
    labels: Vec<u8>,
    /// Values, for a network whose target is its input: `[inputs, lanes]`.
    values: Buffer,
    /// Indices of all input values, for such a network.
    places: Vec<u32>,
}

impl BatchTargets {
    pub(super) fn new(spec: &NetSpec) -> Self {
        let inputs = match spec.loss {
            Loss::CrossEntropy => 0,
            Loss::Mse => spec.input_len(),
        };
        Self {
            samples: 0,
            labels: Vec::new(),
            values: Buffer::default(),
            places: (0..narrow(inputs)).collect(),
        }
    }

    pub(super) fn take(&mut self, batch: &Batch, normalizer: &Normalizer, lanes: usize) {
        self.samples = batch.len();
        self.labels.clear();
        self.labels.extend(batch.labels().unwrap_or_default());
        if !self.places.is_empty() {
            self.values.resize(self.places.len() * lanes);
            gather(&mut self.values, &self.places, batch, normalizer, lanes);
        }
    }

    pub(super) fn of(&self, loss: Loss, lanes: usize) -> Targets<'_> {
        match loss {
            Loss::CrossEntropy => Targets::Labels(&self.labels),
            Loss::Mse => Targets::Values {
                values: &self.values[..self.places.len() * lanes],
                samples: self.samples,
            },
        }
    }
}
