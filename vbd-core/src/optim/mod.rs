//! Optimisers, each implemented with `F32s` kernels and with Candle tensors.

mod adam;
mod sgd;

use candle_core::{Result as CandleResult, Tensor};
use pulp::Simd;

pub use adam::Adam;
pub use sgd::Sgd;

use crate::kernels::vector::{F32s, each_vector, kernel};

/// Optimiser and its settings.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// Gradient descent with momentum.
    Sgd {
        /// Momentum.
        momentum: f64,
        /// L2 penalty, added to the gradients of theta and biases.
        weight_decay: f64,
    },
}

/// An optimiser at one step.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub enum Descent {
    /// [`Optimizer::Adam`].
    Adam(Adam),
    /// [`Optimizer::Sgd`].
    Sgd(Sgd),
}

/// Values of a parameter and their moments m and v.
pub type Slices<'a> = [&'a mut [f32]; 3];

/// A value with its moments.
#[derive(Clone, Copy)]
pub(crate) struct Moments<S: Simd> {
    pub(crate) value: F32s<S>,
    pub(crate) m: F32s<S>,
    pub(crate) v: F32s<S>,
}

/// Update rule of an optimiser on vectors.
pub(crate) trait UpdateRule: Copy {
    /// Returns the value and its moments after a step.
    fn update<S: Simd>(self, old: Moments<S>, gradient: F32s<S>) -> Moments<S>;
}

/// A tensor with its moments.
pub(crate) struct Trainable {
    pub(crate) value: Tensor,
    pub(crate) m: Tensor,
    pub(crate) v: Tensor,
}

impl Optimizer {
    /// Returns the optimiser at step `step`, from 0, with learning rate `lr`.
    pub(crate) fn at(self, lr: f64, step: u32) -> Descent {
        match self {
            Self::Adam => Descent::Adam(Adam::at(lr, step)),
            Self::Sgd {
                momentum,
                weight_decay,
            } => Descent::Sgd(Sgd::new(lr, momentum, weight_decay)),
        }
    }

    /// Returns the optimiser without weight decay, for states of a method and factors of gates.
    pub(crate) fn without_decay(self) -> Self {
        match self {
            Self::Adam => Self::Adam,
            Self::Sgd { momentum, .. } => Self::Sgd {
                momentum,
                weight_decay: 0.0,
            },
        }
    }

    /// Computes a step with Candle operations.
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
    /// Updates values by their gradient.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn step(self, parameter: Slices<'_>, gradient: &[f32]) {
        update_plain(parameter, gradient, self);
    }

    /// Returns the optimiser with a factor on the learning rate.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "used in f32")]
    pub fn times(self, lr_factor: f64) -> Self {
        match self {
            Self::Adam(adam) => Self::Adam(adam.times(lr_factor as f32)),
            Self::Sgd(sgd) => Self::Sgd(sgd.times(lr_factor as f32)),
        }
    }

    /// Returns the optimiser without weight decay.
    #[must_use]
    pub fn without_decay(self) -> Self {
        match self {
            Self::Adam(adam) => Self::Adam(adam),
            Self::Sgd(sgd) => Self::Sgd(sgd.without_decay()),
        }
    }
}

kernel! {
    /// Updates values by their gradient.
    fn update_plain<S>(simd, parameter: Slices<'_>, gradient: &[f32], descent: Descent) {
        match descent {
            Descent::Adam(adam) => plain_by(simd, parameter, gradient, adam),
            Descent::Sgd(sgd) => plain_by(simd, parameter, gradient, sgd),
        }
    }
}

#[inline(always)]
fn plain_by<S: Simd>(simd: S, parameter: Slices<'_>, gradient: &[f32], by: impl UpdateRule) {
    each_vector(
        simd,
        parameter,
        [gradient],
        #[inline(always)]
        |[value, m, v], [gradient]| {
            let new = by.update(Moments { value, m, v }, gradient);
            [new.value, new.m, new.v]
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    #[test]
    fn values_are_the_same_bits_on_every_width() {
        let [value, m, gradient] = [1, 2, 7].map(|seed| test_values(seed, 45));
        let v: Vec<f32> = m.iter().map(|m| m * m).collect();
        same_bits(|| {
            let mut parameter = [value.clone(), m.clone(), v.clone()];
            let slices = parameter.each_mut().map(|values| &mut values[..]);
            Optimizer::Adam.at(1e-3, 9).step(slices, &gradient);
            parameter
        });
    }
}
