//! Training losses, one file each, with kernels and Candle operations.
//!
//! Equations that reports need too are in `vbd_net::output`.

mod cross_entropy;
mod mse;

use candle_core::{Result as CandleResult, Tensor};
use vbd_net::output::{Constancy, Evaluation, SquaredErrors};
use vbd_net::spec::Loss;

/// Targets of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Targets<'a> {
    /// Labels for cross-entropy, each below the number of outputs.
    Labels(&'a [u8]),
    /// Values for the squared error, `[outputs, lanes]`.
    Values {
        /// The values.
        values: &'a [f32],
        /// Number of samples in the batch.
        samples: usize,
    },
}

impl Targets<'_> {
    /// Returns the batch's summed negative log-likelihood in nats and replaces `outputs` by the
    /// gradient of the mean.
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

/// Accumulates an evaluation batch by batch.
#[derive(Debug)]
pub(crate) enum Score {
    Classes {
        samples: usize,
        wrong: usize,
        nll_sum: f64,
        constancy: Constancy,
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
                constancy: Constancy::default(),
            },
            Loss::Mse => Self::Values(SquaredErrors::default()),
        }
    }

    /// Adds a batch.
    ///
    /// # Shapes
    /// - `outputs`: `[outputs, lanes]`
    pub(crate) fn add(&mut self, outputs: &[f32], targets: Targets<'_>, lanes: usize) {
        let column = |sample: usize| outputs[sample..].iter().step_by(lanes).copied();
        match (self, targets) {
            (
                Self::Classes {
                    samples,
                    wrong,
                    nll_sum,
                    constancy,
                },
                Targets::Labels(labels),
            ) => {
                (0..labels.len()).for_each(|sample| constancy.add(column(sample)));
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
                (0..more).for_each(|sample| errors.compare(column(sample)));
                errors.add(more, outputs.len() / lanes, error);
            }
            _ => unreachable!("targets match the network's loss"),
        }
    }

    /// Returns the evaluation.
    pub(crate) fn finish(self) -> Evaluation {
        match self {
            Self::Classes {
                samples,
                wrong,
                nll_sum,
                constancy,
            } => Evaluation::Classes {
                samples,
                wrong,
                nll: nll_sum / samples.max(1) as f64,
                is_constant: constancy.is_constant(),
            },
            Self::Values(errors) => errors.finish(),
        }
    }
}

/// Targets of a batch on Candle's devices.
#[derive(Debug)]
pub(crate) enum TargetTensor {
    /// Labels for cross-entropy, `[batch, 1]`.
    Labels(Tensor),
    /// Values for the squared error, `[batch, outputs]`.
    Values(Tensor),
}

impl TargetTensor {
    /// Returns the batch's summed negative log-likelihood in nats.
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
