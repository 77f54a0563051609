//! Gradient descent with momentum and weight decay, as in PyTorch: `g' = g + decay w`, `m' =
//! momentum m + g'`, `w' = w - lr m'`.

use candle_core::{Result, Tensor};
use pulp::Simd;

use super::{Moments, Trainable, UpdateRule};
use crate::kernels::vector::F32s;

/// Update rule at one step. The second moment is unused.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    lr: f32,
    momentum: f32,
    weight_decay: f32,
}

impl Sgd {
    #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
    pub(super) fn new(lr: f64, momentum: f64, weight_decay: f64) -> Self {
        Self {
            lr: lr as f32,
            momentum: momentum as f32,
            weight_decay: weight_decay as f32,
        }
    }

    pub(super) fn times(self, lr_factor: f32) -> Self {
        Self {
            lr: self.lr * lr_factor,
            ..self
        }
    }

    pub(super) fn without_decay(self) -> Self {
        Self {
            weight_decay: 0.0,
            ..self
        }
    }
}

impl UpdateRule for Sgd {
    #[inline(always)]
    fn update<S: Simd>(self, old: Moments<S>, gradient: F32s<S>) -> Moments<S> {
        let constant = |value: f32| gradient.like(value);
        // The mark of a dead entry is infinite, and does not decay: 0 times it would be no number.
        let gradient = if self.weight_decay == 0.0 {
            gradient
        } else {
            constant(self.weight_decay).mul_add(old.value, gradient)
        };
        let m = constant(self.momentum).mul_add(old.m, gradient);
        Moments {
            value: old.value - constant(self.lr) * m,
            m,
            v: old.v,
        }
    }
}

pub(super) fn candle(
    [lr, momentum, weight_decay]: [f64; 3],
    old: &Trainable,
    gradient: &Tensor,
) -> Result<Trainable> {
    let gradient = if weight_decay == 0.0 {
        gradient.clone()
    } else {
        (gradient + (&old.value * weight_decay)?)?
    };
    let m = ((&old.m * momentum)? + gradient)?;
    Ok(Trainable {
        value: (&old.value - (&m * lr)?)?,
        m,
        v: old.v.clone(),
    })
}
