//! Batches: samples prepared for a step.
//!
//! An engine only sees a [`Batch`]. [`Batches`] builds them; it is the only place that may change
//! samples.

mod batches;
mod crop_flip;

use std::ops::Range;

use vbd_net::data::{Inputs, Samples, Values};
use vbd_net::spec::{Loss, NetSpec};

pub use self::batches::{Augment, Batches, SampleKey};
pub use self::crop_flip::CropFlip;
use crate::error::{Error, Result};

/// Samples for a step: inputs row by row, not yet normalised, and labels if there are any.
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
    /// Creates a batch of unchanged samples.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn of(samples: &Samples, indices: &[u32]) -> Self {
        let mut batch = Self::default();
        batch.take(samples, indices);
        batch
    }

    /// Replaces the content by these samples, reusing memory.
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

    /// Replaces the content by consecutive samples.
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

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns all inputs, `[len, sample_len]`.
    pub fn inputs(&self) -> Values<'_> {
        self.inputs.values()
    }

    /// Returns all labels, `[len]`, if there are any.
    pub fn labels(&self) -> Option<&[u8]> {
        self.labels.as_deref()
    }

    /// Checks that a network can be trained and evaluated on the batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are no samples or the inputs do not match the network;
    /// [`vbd_net::Error::NoLabels`] or [`vbd_net::Error::Label`] if labels are needed but missing
    /// or out of range.
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
