//! Optimisers, each once for both engines: by kernels in `F32s`, by Candle's operations in tensors.

mod adam;
mod sgd;

use candle_core::{Result as CandleResult, Tensor};
use pulp::Simd;

pub(crate) use adam::Adam;
pub(crate) use sgd::Sgd;

use crate::kernels::vector::F32s;

/// How values follow their gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// Gradient descent with momentum.
    Sgd {
        /// Share of the last step that is taken again.
        momentum: f64,
        /// Factor on theta and biases that is added to their gradients.
        weight_decay: f64,
    },
}

/// An optimiser at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Descent {
    Adam(Adam),
    Sgd(Sgd),
}

/// A value with its moments.
#[derive(Clone, Copy)]
pub(crate) struct Moments<S: Simd> {
    pub(crate) value: F32s<S>,
    pub(crate) m: F32s<S>,
    pub(crate) v: F32s<S>,
}

/// One step of an optimiser in vectors.
pub(crate) trait Rule: Copy {
    /// The value and its moments after a step.
    fn update<S: Simd>(self, old: Moments<S>, gradient: F32s<S>) -> Moments<S>;
}

/// A tensor with its moments.
pub(crate) struct Trainable {
    pub(crate) value: Tensor,
    pub(crate) m: Tensor,
    pub(crate) v: Tensor,
}

impl Optimizer {
    /// The optimiser at step `step`, from 0, with step size `lr`.
    pub(crate) fn at(self, lr: f64, step: u32) -> Descent {
        match self {
            Self::Adam => Descent::Adam(Adam::at(lr, step)),
            Self::Sgd {
                momentum,
                weight_decay,
            } => Descent::Sgd(Sgd::new(lr, momentum, weight_decay)),
        }
    }

    /// The same for values that do not decay: `log_sigma2`, and the factors of gates.
    pub(crate) fn without_decay(self) -> Self {
        match self {
            Self::Adam => Self::Adam,
            Self::Sgd { momentum, .. } => Self::Sgd {
                momentum,
                weight_decay: 0.0,
            },
        }
    }

    /// A step by Candle's operations.
    pub(crate) fn candle(
        self,
        lr: f64,
        step: u32,
        old: &Trainable,
        gradient: &Tensor,
    ) -> CandleResult<Trainable> {
        match self {
            Self::Adam => adam::candle(lr, step, old, gradient),
            Self::Sgd {
                momentum,
                weight_decay,
            } => sgd::candle([lr, momentum, weight_decay], old, gradient),
        }
    }
}

impl Descent {
    /// [`Optimizer::without_decay`].
    pub(crate) fn without_decay(self) -> Self {
        match self {
            Self::Adam(adam) => Self::Adam(adam),
            Self::Sgd(sgd) => Self::Sgd(sgd.without_decay()),
        }
    }
}
