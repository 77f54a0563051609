//! Batches: samples made ready for a step.
//!
//! An engine gets a [`Batch`] and knows nothing of where its samples come from. [`Batches`] makes them: the one
//! place where what an engine sees may differ from what is stored.

mod batches;

use std::ops::Range;

use vbd_net::data::{Inputs, Samples, Values};
use vbd_net::spec::{Loss, NetSpec};

pub use self::batches::{Augment, Batches, SampleKey};
use crate::error::{Error, Result};

/// Samples that are ready for a step: inputs row by row, not yet normalised, and their labels where they have any.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    inputs: Inputs,
    labels: Option<Vec<u8>>,
    len: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            inputs: Inputs::U8(Vec::new()),
            labels: None,
            len: 0,
        }
    }
}

impl Batch {
    /// Some samples as they are stored.
    ///
    /// # Panics
    /// If there is no sample of one of these numbers.
    pub fn of(samples: &Samples, indices: &[u32]) -> Self {
        let mut batch = Self::default();
        batch.take(samples, indices);
        batch
    }

    /// Becomes these samples, in the memory that it has.
    fn take(&mut self, samples: &Samples, indices: &[u32]) {
        let indices = || indices.iter().map(|&index| index as usize);
        self.inputs.clear_for(samples.inputs());
        for index in indices() {
            self.inputs.extend(samples.input(index));
        }
        self.take_labels(samples.labels(), |labels, all| {
            labels.extend(indices().map(|index| all[index]));
        });
        self.len = indices().len();
    }

    /// Becomes neighbouring samples.
    pub(crate) fn take_range(&mut self, samples: &Samples, range: Range<usize>) {
        let len = samples.sample_len();
        self.inputs.clear_for(samples.inputs());
        let values = samples.inputs();
        self.inputs
            .extend(values.range(range.start * len..range.end * len));
        self.take_labels(samples.labels(), |labels, all| {
            labels.extend_from_slice(&all[range.clone()]);
        });
        self.len = range.len();
    }

    fn take_labels(&mut self, all: Option<&[u8]>, take: impl FnOnce(&mut Vec<u8>, &[u8])) {
        self.labels = all.map(|all| {
            let mut labels = self.labels.take().unwrap_or_default();
            labels.clear();
            take(&mut labels, all);
            labels
        });
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All inputs, `[len, sample_len]`.
    pub fn inputs(&self) -> Values<'_> {
        self.inputs.values()
    }

    /// All labels, `[len]`, where there are any.
    pub fn labels(&self) -> Option<&[u8]> {
        self.labels.as_deref()
    }

    /// Checks that a network can be trained and measured on the batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no sample, or the inputs are not the network's; [`vbd_net::Error::NoLabels`] or
    /// [`vbd_net::Error::Label`] if it needs labels and there are none, or one that it has no class for.
    pub(crate) fn check(&self, spec: &NetSpec) -> Result<()> {
        let (found, len) = (self.inputs().len(), self.len.max(1));
        if found != len * spec.input_len() {
            return Err(Error::Shape {
                name: "inputs of a batch".to_owned(),
                found: vec![found],
                expected: vec![len, spec.input_len()],
            });
        }
        if spec.loss != Loss::CrossEntropy {
            return Ok(());
        }
        let net = || spec.name.clone();
        let labels = self
            .labels()
            .ok_or_else(|| vbd_net::Error::NoLabels { net: net() })?;
        let classes = spec.output_len();
        match (0..)
            .zip(labels)
            .find(|(_, label)| usize::from(**label) >= classes)
        {
            None => Ok(()),
            Some((index, &label)) => Err(vbd_net::Error::Label {
                net: net(),
                index,
                label,
                classes,
            }
            .into()),
        }
    }
}
