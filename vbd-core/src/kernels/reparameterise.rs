//! Local reparameterisation: the output of a layer is sampled, not its weights.
//!
//! `y = mean + sqrt(var + 1e-8) eps`, one draw an output value. Forward keeps
//! `spread = eps / (2 sqrt(var + 1e-8))`, for backward is `g_mean = g`, `g_var = g spread`.
//! Source: Kingma et al. 2015 (arXiv:1506.02557), section 2.2; Molchanov et al. 2017, eq. 17.

use super::{simd, sum};
use crate::noise::NoiseKey;
use crate::posterior::VARIANCE_FLOOR;

/// Turns means into samples, unit by unit; a unit is one value of the output over the batch.
///
/// # Shapes
/// - `mean`, `var`: `[rows, positions, lanes]`; on return the outputs, and `spread`
/// - `bias`: `[rows]`; `first_unit` is the layer's number of the first unit
/// - `noise`: `[lanes]`, scratch
pub(crate) fn sample_rows(
    (mean, var): (&mut [f32], &mut [f32]),
    bias: &[f32],
    relu: bool,
    (key, first_unit): (NoiseKey, usize),
    noise: &mut [f32],
) {
    let positions = mean.len() / (bias.len() * noise.len());
    simd(
        #[inline(always)]
        || {
            let units = mean
                .chunks_exact_mut(noise.len())
                .zip(var.chunks_exact_mut(noise.len()));
            for (index, (mean, var)) in units.enumerate() {
                let unit =
                    u32::try_from(first_unit + index).expect("a layer has at most 2^24 units");
                let bias = bias[index / positions];
                key.fill_normal_inline(unit, noise);
                for ((mean, var), &eps) in mean.iter_mut().zip(var).zip(&*noise) {
                    // Sums in another order than the terms' may leave a zero variance negative.
                    let deviation = (var.max(0.0) + VARIANCE_FLOOR).sqrt();
                    let y = deviation.mul_add(eps, *mean + bias);
                    *mean = if relu && y <= 0.0 { 0.0 } else { y };
                    *var = 0.5 * eps / deviation;
                }
            }
        },
    );
}

/// Adds the bias to the means, and applies ReLU.
///
/// # Shapes
/// - `mean`: `[rows, positions, lanes]`; `bias`: `[rows]`
pub(crate) fn mean_rows(mean: &mut [f32], bias: &[f32], relu: bool) {
    let row = mean.len() / bias.len();
    simd(
        #[inline(always)]
        || {
            for (mean, &bias) in mean.chunks_exact_mut(row).zip(bias) {
                for y in mean {
                    let sum = *y + bias;
                    *y = if relu && sum <= 0.0 { 0.0 } else { sum };
                }
            }
        },
    );
}

/// Backward: takes the gradient through ReLU and splits it into those of mean and variance.
///
/// # Shapes
/// - `g`: `[rows, positions, lanes]`, the gradient of `y`, on return of the mean
/// - `spread`: as `g`, on return the gradient of the variance
/// - `y`: as `g`; `bias_gradient`: `[rows]`
pub(crate) fn backward_rows(
    g: &mut [f32],
    mut spread: Option<&mut [f32]>,
    y: &[f32],
    relu: bool,
    bias_gradient: &mut [f32],
) {
    let row = g.len() / bias_gradient.len();
    simd(
        #[inline(always)]
        || {
            if relu {
                // NaN goes on as NaN: the loss has to tell of it.
                for (g, &y) in g.iter_mut().zip(y) {
                    *g = if y <= 0.0 { 0.0 } else { *g };
                }
            }
            for (bias, g) in bias_gradient.iter_mut().zip(g.chunks_exact(row)) {
                *bias = sum(g);
            }
            for (spread, &g) in spread
                .iter_mut()
                .flat_map(|spread| spread.iter_mut())
                .zip(&*g)
            {
                *spread *= g;
            }
        },
    );
}

/// ReLU on its own.
pub(crate) fn relu(y: &mut [f32], x: &[f32]) {
    simd(
        #[inline(always)]
        || {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = if x <= 0.0 { 0.0 } else { x };
            }
        },
    );
}

/// The gradient through ReLU on its own.
pub(crate) fn relu_backward(g_x: &mut [f32], g: &[f32], y: &[f32]) {
    simd(
        #[inline(always)]
        || {
            for ((g_x, &g), &y) in g_x.iter_mut().zip(g).zip(y) {
                *g_x = if y <= 0.0 { 0.0 } else { g };
            }
        },
    );
}

/// `out = x^2`.
pub(crate) fn square(out: &mut [f32], x: &[f32]) {
    simd(
        #[inline(always)]
        || {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = x * x;
            }
        },
    );
}

/// `g += 2 x g_square`: the part of an input's gradient that comes through the variance.
pub(crate) fn add_square_gradient(g: &mut [f32], x: &[f32], g_square: &[f32]) {
    simd(
        #[inline(always)]
        || {
            for ((g, &x), &g_square) in g.iter_mut().zip(x).zip(g_square) {
                *g = (2.0 * x).mul_add(g_square, *g);
            }
        },
    );
}
