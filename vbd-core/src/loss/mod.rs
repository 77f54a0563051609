//! The losses that networks are trained by: a file each, with the kernels' half and Candle's.
//!
//! The equations that a report needs too are `vbd_net::output`'s.

mod cross_entropy;
mod mse;

use candle_core::{Result as CandleResult, Tensor};
use vbd_net::output::{Evaluation, SquaredErrors};
use vbd_net::spec::Loss;

/// What the outputs of a batch are compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Targets<'a> {
    /// Of cross-entropy: a label each, below the number of outputs.
    Labels(&'a [u8]),
    /// Of the squared error: a value for each output, `[outputs, lanes]`.
    Values {
        /// The values.
        values: &'a [f32],
        /// Samples of the batch.
        samples: usize,
    },
}

impl Targets<'_> {
    /// The negative log-likelihood of a batch, summed, in nats; `outputs` becomes the gradient of its mean.
    ///
    /// # Shapes
    /// - `outputs`: `[outputs, lanes]`; lanes beyond the batch get the gradient 0
    pub(crate) fn gradient(self, outputs: &mut [f32], lanes: usize) -> f64 {
        match self {
            Self::Labels(labels) => cross_entropy::gradient(outputs, labels, lanes),
            Self::Values { values, samples } => mse::gradient(outputs, values, samples, lanes),
        }
    }
}

/// An evaluation under way, batch by batch.
#[derive(Debug)]
pub(crate) enum Score {
    Classes {
        samples: usize,
        wrong: usize,
        nll_sum: f64,
    },
    Values(SquaredErrors),
}

impl Score {
    pub(crate) fn new(loss: Loss) -> Self {
        match loss {
            Loss::CrossEntropy => Self::Classes {
                samples: 0,
                wrong: 0,
                nll_sum: 0.0,
            },
            Loss::Mse => Self::Values(SquaredErrors::default()),
        }
    }

    /// Adds a batch.
    ///
    /// # Shapes
    /// - `outputs`: `[outputs, lanes]`
    pub(crate) fn add(&mut self, outputs: &[f32], targets: Targets<'_>, lanes: usize) {
        match (self, targets) {
            (
                Self::Classes {
                    samples,
                    wrong,
                    nll_sum,
                },
                Targets::Labels(labels),
            ) => {
                let score = cross_entropy::score(outputs, labels, lanes);
                *samples += labels.len();
                *wrong += score.wrong;
                *nll_sum += score.nll_sum;
            }
            (
                Self::Values(errors),
                Targets::Values {
                    values,
                    samples: more,
                },
            ) => {
                let error = mse::squared_error(outputs, values, more, lanes);
                errors.add(more, outputs.len() / lanes, error);
            }
            _ => unreachable!("an engine has the targets of its network's loss"),
        }
    }

    /// The evaluation of all batches.
    pub(crate) fn finish(self) -> Evaluation {
        match self {
            Self::Classes {
                samples,
                wrong,
                nll_sum,
            } => Evaluation::Classes {
                samples,
                wrong,
                nll: nll_sum / samples.max(1) as f64,
            },
            Self::Values(errors) => errors.finish(),
        }
    }
}

/// What the outputs of a batch are compared with, on Candle's devices.
#[derive(Debug)]
pub(crate) enum TargetTensor {
    /// Of cross-entropy: labels, `[batch, 1]`.
    Labels(Tensor),
    /// Of the squared error: values, `[batch, outputs]`.
    Values(Tensor),
}

impl TargetTensor {
    /// The negative log-likelihood of a batch, summed, in nats.
    ///
    /// # Shapes
    /// - `outputs`: `[batch, outputs]`
    pub(crate) fn nll_sum(&self, outputs: &Tensor) -> CandleResult<Tensor> {
        match self {
            Self::Labels(labels) => cross_entropy::nll_sum(outputs, labels),
            Self::Values(values) => mse::nll_sum(outputs, values),
        }
    }
}
