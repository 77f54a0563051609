//! Local reparameterisation: samples a layer's outputs instead of its weights.
//!
//! `y = mean + sqrt(var + 1e-8) eps`, with one draw per output value. Forward stores `spread = eps
//! / (2 sqrt(var + 1e-8))`, since backward computes `g_mean = g`, `g_var = g spread`. Source:
//! Kingma et al. 2015 (arXiv:1506.02557), section 2.2; Molchanov et al. 2017, eq. 17.

use pulp::Simd;

use super::vector::{F32s, each_vector, kernel, sum};
use crate::noise::NoiseKey;
use crate::posterior::VARIANCE_FLOOR;

/// Noise of some rows' outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowNoise<'a> {
    pub(crate) key: NoiseKey,
    /// Number of the first unit in the layer. A unit is one output value over the batch.
    pub(crate) first_unit: usize,
    /// Which rows have a live weight, `[rows]`. Outputs of other rows are their biases, without
    /// noise.
    pub(crate) alive: &'a [bool],
}

// limit sample_rows: avx2 30, scalar 320 instructions a value
kernel! {
    /// Converts means to samples, unit by unit.
    ///
    /// # Shapes
    /// - `mean`, `var`: `[rows, positions, lanes]`; on return the outputs, and `spread`
    /// - `bias`: `[rows]`; `noise`: `[lanes]`, scratch
    pub(crate) fn sample_rows<S>(
        simd,
        mean: &mut [f32],
        var: &mut [f32],
        bias: &[f32],
        relu: bool,
        rows: RowNoise<'_>,
        noise: &mut [f32],
    ) {
        let positions = mean.len() / (bias.len() * noise.len());
        let units = mean
            .chunks_exact_mut(noise.len())
            .zip(var.chunks_exact_mut(noise.len()));
        for (index, (mean, var)) in units.enumerate() {
            let unit = u32::try_from(rows.first_unit + index).expect("a layer has at most 2^24 units");
            let row = index / positions;
            let bias = bias[row];
            if !rows.alive[row] {
                each_vector(simd, [mean, var], [], #[inline(always)] |[mean, var], []| {
                    [activated(mean + mean.like(bias), relu), var.like(0.0)]
                });
                continue;
            }
            rows.key.fill_normal_on(simd, unit, noise);
            each_vector(simd, [mean, var], [noise], #[inline(always)] |[mean, var], [eps]| {
                // Sums in another order than the terms' may leave a zero variance negative.
                let deviation = (var.relu() + var.like(VARIANCE_FLOOR)).sqrt();
                let y = deviation.mul_add(eps, mean + mean.like(bias));
                [activated(y, relu), eps.like(0.5) * eps / deviation]
            });
        }
    }
}

/// Applies ReLU if `relu`. NaN is propagated, so that the loss shows it.
#[inline(always)]
fn activated<S: Simd>(y: F32s<S>, relu: bool) -> F32s<S> {
    if relu { y.relu() } else { y }
}

kernel! {
    /// Adds the bias to the means and optionally applies ReLU.
    ///
    /// # Shapes
    /// - `mean`: `[rows, positions, lanes]`; `bias`: `[rows]`
    pub(crate) fn mean_rows<S>(simd, mean: &mut [f32], bias: &[f32], relu: bool) {
        let row = mean.len() / bias.len();
        for (mean, &bias) in mean.chunks_exact_mut(row).zip(bias) {
            each_vector(simd, [mean], [], #[inline(always)] |[mean], []| {
                [activated(mean + mean.like(bias), relu)]
            });
        }
    }
}

kernel! {
    /// Computes the gradient through ReLU and sums it for the biases.
    ///
    /// # Shapes
    /// - `g`, `y`: `[rows, positions, lanes]`, outputs and their gradient, which on return is that of the
    ///   means; `bias_gradient`: `[rows]`
    pub(crate) fn backward_rows<S>(
        simd,
        g: &mut [f32],
        y: &[f32],
        relu: bool,
        bias_gradient: &mut [f32],
    ) {
        let row = g.len() / bias_gradient.len();
        let rows = g.chunks_exact_mut(row).zip(y.chunks_exact(row));
        for (bias, (g, y)) in bias_gradient.iter_mut().zip(rows) {
            if relu {
                each_vector(simd, [&mut *g], [y], #[inline(always)] |[g], [y]| [y.where_positive(g)]);
            }
            *bias = sum(simd, g);
        }
    }
}

kernel! {
    /// Computes the gradient of the variances: `spread *= g`.
    pub(crate) fn spread_gradient<S>(simd, spread: &mut [f32], g: &[f32]) {
        each_vector(simd, [spread], [g], #[inline(always)] |[spread], [g]| [spread * g]);
    }
}

kernel! {
    /// Computes ReLU.
    pub(crate) fn relu<S>(simd, y: &mut [f32], x: &[f32]) {
        each_vector(simd, [y], [x], #[inline(always)] |_, [x]| [x.relu()]);
    }
}

kernel! {
    /// Computes `y += x`, and applies ReLU if `relu`.
    pub(crate) fn add<S>(simd, y: &mut [f32], x: &[f32], relu: bool) {
        each_vector(simd, [y], [x], #[inline(always)] |[y], [x]| [activated(y + x, relu)]);
    }
}

kernel! {
    /// Computes the gradient through ReLU.
    pub(crate) fn relu_backward<S>(simd, g_x: &mut [f32], g: &[f32], y: &[f32]) {
        each_vector(simd, [g_x], [g, y], #[inline(always)] |_, [g, y]| [y.where_positive(g)]);
    }
}

kernel! {
    /// Computes `out = x^2`.
    pub(crate) fn square<S>(simd, out: &mut [f32], x: &[f32]) {
        each_vector(simd, [out], [x], #[inline(always)] |_, [x]| [x * x]);
    }
}

kernel! {
    /// Adds the part of an input's gradient that comes through the variance: `g += 2 x g_square`.
    pub(crate) fn add_square_gradient<S>(simd, g: &mut [f32], x: &[f32], g_square: &[f32]) {
        each_vector(simd, [g], [x, g_square], #[inline(always)] |[g], [x, g_square]| {
            [(x + x).mul_add(g_square, g)]
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;
    use crate::noise::Stream;

    #[test]
    fn samples_and_their_gradients_are_those_in_f64_on_every_width() {
        let (rows, positions, lanes) = (3, 2, 40);
        let len = rows * positions * lanes;
        let (means, g) = (test_values(1, len), test_values(2, len));
        let mut variances: Vec<f32> = test_values(3, len).iter().map(|x| x * x).collect();
        variances[5] = -1e-12;
        let bias = test_values(4, rows);
        let key = NoiseKey {
            seed: 3,
            step: 1,
            stream: Stream::Layer(2),
        };
        let first_unit = 7;
        let [y, spread, by_mean, by_variance, by_bias] = same_bits(|| {
            let (mut y, mut spread, mut g) = (means.clone(), variances.clone(), g.clone());
            let alive = &[true, true, false];
            let noise = RowNoise {
                key,
                first_unit,
                alive,
            };
            sample_rows(
                &mut y,
                &mut spread,
                &bias,
                true,
                noise,
                &mut vec![0.0; lanes],
            );
            let mut by_bias = vec![0.0; rows];
            backward_rows(&mut g, &y, true, &mut by_bias);
            let mut by_variance = spread.clone();
            spread_gradient(&mut by_variance, &g);
            [y, spread, g, by_variance, by_bias]
        });
        let mut sums = vec![0.0; rows];
        for unit in 0..rows * positions {
            let mut draws = vec![0.0; lanes];
            key.fill_normal(u32::try_from(first_unit + unit).unwrap(), &mut draws);
            for (lane, eps) in draws.into_iter().enumerate() {
                let (at, row) = (unit * lanes + lane, unit / positions);
                let eps = f64::from(eps);
                let deviation = (f64::from(variances[at]).max(0.0) + 1e-8).sqrt();
                let eps = if row == 2 { 0.0 } else { eps };
                let output = f64::from(means[at]) + f64::from(bias[row]) + deviation * eps;
                let gradient = if output > 0.0 { f64::from(g[at]) } else { 0.0 };
                sums[row] += gradient;
                for (found, expected) in [
                    (y[at], output.max(0.0)),
                    (spread[at], 0.5 * eps / deviation),
                    (by_mean[at], gradient),
                    (by_variance[at], gradient * 0.5 * eps / deviation),
                ] {
                    let close =
                        (f64::from(found) - expected).abs() <= 1e-5 * (1.0 + expected.abs());
                    assert!(close, "{at}: {found} {expected}");
                }
            }
        }
        for (found, expected) in by_bias.iter().zip(sums) {
            assert!((f64::from(*found) - expected).abs() < 1e-5 * (positions * lanes) as f64);
        }
    }
}
