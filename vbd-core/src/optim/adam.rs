//! Adam (Kingma and Ba 2015), with epsilon outside the bias-corrected root.

use candle_core::{Result, Tensor};
use pulp::Simd;

use super::{Moments, Trainable, UpdateRule};
use crate::kernels::vector::F32s;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam at one step.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    lr: f32,
    /// `1 / (1 - beta1^t)`.
    m_correction: f32,
    /// `1 / (1 - beta2^t)`.
    v_correction: f32,
}

impl Adam {
    /// Creates Adam at step `step`, from 0.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "computed in f64, used in f32"
    )]
    pub(crate) fn at(lr: f64, step: u32) -> Self {
        let correction = |beta| (1.0 / (1.0 - power(beta, u64::from(step) + 1))) as f32;
        Self {
            lr: lr as f32,
            m_correction: correction(BETA1),
            v_correction: correction(BETA2),
        }
    }

    pub(super) fn times(self, lr_factor: f32) -> Self {
        Self {
            lr: self.lr * lr_factor,
            ..self
        }
    }
}

impl UpdateRule for Adam {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "constants")]
    fn update<S: Simd>(self, old: Moments<S>, gradient: F32s<S>) -> Moments<S> {
        let constant = |value: f32| gradient.like(value);
        let m = constant(BETA1 as f32).mul_add(old.m, constant((1.0 - BETA1) as f32) * gradient);
        let square = constant((1.0 - BETA2) as f32) * gradient * gradient;
        let v = constant(BETA2 as f32).mul_add(old.v, square);
        let root = (v * constant(self.v_correction)).sqrt() + constant(EPSILON as f32);
        let step = constant(self.lr) * (m * constant(self.m_correction)) / root;
        let value = old.value - step;
        Moments { value, m, v }
    }
}

/// Computes `base^exponent` by squaring, which gives the same bits on every platform, unlike a C
/// library's `pow`.
fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left % 2 == 1 {
            result *= square;
        }
        square *= square;
        left /= 2;
    }
    result
}

pub(super) fn candle(lr: f64, step: u32, old: &Trainable, gradient: &Tensor) -> Result<Trainable> {
    let t = f64::from(step) + 1.0;
    let m = ((&old.m * BETA1)? + (gradient * (1.0 - BETA1))?)?;
    let v = ((&old.v * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
    let corrected = (&m * (1.0 / (1.0 - BETA1.powf(t))))?;
    let root = ((&v * (1.0 / (1.0 - BETA2.powf(t))))?.sqrt()? + EPSILON)?;
    Ok(Trainable {
        value: (&old.value - ((corrected / root)? * lr)?)?,
        m,
        v,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_the_c_library_to_rounding() {
        for base in [BETA1, BETA2] {
            for exponent in [1_u32, 2, 3, 7, 100, 12_345, 120_000] {
                let expected = base.powf(f64::from(exponent));
                let found = power(base, u64::from(exponent));
                assert!(
                    (found - expected).abs() <= 1e-11 * expected,
                    "{base} {exponent}"
                );
            }
        }
    }
}
