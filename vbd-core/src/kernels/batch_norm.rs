//! Batch normalisation of one unit (Ioffe and Szegedy 2015), over samples and positions.
//!
//! `y = (x - mean) rstd gamma + beta` with `rstd = 1 / sqrt(variance + eps)`. Lanes beyond the
//! batch are left out of all sums.

use super::vector::{F32s, PARTIAL_SUMS, PartialSums, each_vector, kernel};
use pulp::Simd;

/// Values that stay in the first-level cache between two passes: a multiple of the partial sums, so that
/// sums do not depend on it.
const AT_ONCE: usize = 64 * PARTIAL_SUMS;

/// Mean and variance of a unit's inputs, the variance divided by their number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: f32,
    pub(crate) variance: f32,
}

/// The line that a unit's inputs are mapped by: `y = (x - mean) factor + shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) mean: f32,
    pub(crate) factor: f32,
    pub(crate) shift: f32,
}

/// Gradients of a unit, divided by the number of its inputs where they flow to those.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct UnitGradient {
    /// `sum g`.
    pub(crate) bias: f32,
    /// `sum g (x - mean) rstd`.
    pub(crate) weight: f32,
}

kernel! {
    /// Computes mean and variance of a unit's inputs: of some rows at a time, in two passes, which are
    /// then put together (Chan et al. 1979).
    ///
    /// # Shapes
    /// - `x`: `[area, lanes]`; `valid`: `[lanes]`, 1 for the lanes of samples and 0 for others
    pub(crate) fn moments<S>(simd, x: &[f32], valid: &[f32], samples: usize) -> Moments {
        let lanes = valid.len();
        let rows = (AT_ONCE / lanes).max(1);
        let (mut all, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for part in x.chunks(rows * lanes) {
            let count = (part.len() / lanes * samples) as f64;
            let mut sums = PartialSums::zero(simd);
            for row in part.chunks_exact(lanes) {
                sums.add([row, valid], #[inline(always)] |[x, valid], [sum]| [sum + counted(valid, x)]);
            }
            let [sum] = sums.totals();
            let part_mean = f64::from(sum) / count;
            let about = rounded(part_mean);
            let mut sums = PartialSums::zero(simd);
            for row in part.chunks_exact(lanes) {
                sums.add([row, valid], #[inline(always)] |[x, valid], [sum]| {
                    let distance = counted(valid, x - x.like(about));
                    [distance.mul_add(distance, sum)]
                });
            }
            let [part_squares] = sums.totals();
            let (before, distance) = (all, part_mean - mean);
            all += count;
            mean += distance * count / all;
            squares += f64::from(part_squares) + distance * distance * before * count / all;
        }
        Moments { mean: rounded(mean), variance: rounded(squares / all) }
    }
}

/// Rounds a sum of sums.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "statistics are f32")]
fn rounded(value: f64) -> f32 {
    value as f32
}

/// Maps `x` by a line.
#[inline(always)]
fn on_line<S: Simd>(x: F32s<S>, line: Line) -> F32s<S> {
    (x - x.like(line.mean)).mul_add(x.like(line.factor), x.like(line.shift))
}

/// Returns `x` in lanes of samples, else 0.
#[inline(always)]
fn counted<S: Simd>(valid: F32s<S>, x: F32s<S>) -> F32s<S> {
    valid.where_positive(x)
}

kernel! {
    /// Maps a unit's inputs by its line, and applies ReLU if `relu`. NaN is propagated.
    ///
    /// # Shapes
    /// - `y`, `x`: `[area, lanes]`
    pub(crate) fn normalise<S>(simd, y: &mut [f32], x: &[f32], line: Line, relu: bool) {
        each_vector(simd, [y], [x], #[inline(always)] |_, [x]| {
            let y = on_line(x, line);
            [if relu { y.relu() } else { y }]
        });
    }
}

kernel! {
    /// Computes the gradient through a ReLU after the line, if there is one, into `g`, and the unit's
    /// gradients.
    ///
    /// # Shapes
    /// - `g`, `x`: `[area, lanes]`; `g` is 0 in lanes beyond the batch
    pub(crate) fn unit_gradient<S>(
        simd,
        g: &mut [f32],
        x: &[f32],
        of: NormalisedBy,
        relu_after: Option<Line>,
    ) -> UnitGradient {
        let mut sums = PartialSums::zero(simd);
        for (g, x) in g.chunks_mut(AT_ONCE).zip(x.chunks(AT_ONCE)) {
            if let Some(line) = relu_after {
                // The outputs again, to the bit: reading them would take longer.
                each_vector(simd, [&mut *g], [x], #[inline(always)] |[g], [x]| {
                    [on_line(x, line).where_positive(g)]
                });
            }
            sums.add([&*g, x], #[inline(always)] |[g, x], [bias, weight]| {
                [bias + g, (x - x.like(of.mean)).mul_add(g, weight)]
            });
        }
        let [bias, weight] = sums.totals();
        UnitGradient { bias, weight: weight * of.rstd }
    }
}

/// Statistics that a unit was normalised by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NormalisedBy {
    pub(crate) mean: f32,
    pub(crate) rstd: f32,
}

kernel! {
    /// Computes the gradient of a unit's inputs: `gamma rstd (g - mean(g) - xhat mean(g xhat))`;
    /// lanes beyond the batch get 0.
    ///
    /// # Shapes
    /// - `g_x`, `g`, `x`: `[area, lanes]`; `valid`: `[lanes]`
    pub(crate) fn input_gradient<S>(
        simd,
        g_x: &mut [f32],
        g: &[f32],
        x: &[f32],
        valid: &[f32],
        slope: UnitSlope,
    ) {
        let lanes = valid.len();
        let rows = g.chunks_exact(lanes).zip(x.chunks_exact(lanes));
        for (g_x, (g, x)) in g_x.chunks_exact_mut(lanes).zip(rows) {
            each_vector(simd, [g_x], [g, x, valid], #[inline(always)] |_, [g, x, valid]| {
                let distance = x - x.like(slope.mean);
                let centred = g - g.like(slope.mean_g);
                let inner = (-distance).mul_add(g.like(slope.by_distance), centred);
                [counted(valid, inner * g.like(slope.factor))]
            });
        }
    }
}

/// Constants of the gradient of a unit's inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct UnitSlope {
    mean: f32,
    /// `gamma rstd`.
    factor: f32,
    /// Mean of `g (x - mean) rstd`, times `rstd`.
    by_distance: f32,
    /// Mean of `g`.
    mean_g: f32,
}

impl UnitSlope {
    /// `inv_count` is 1 / the number of the unit's inputs.
    pub(crate) fn new(
        of: NormalisedBy,
        gradient: UnitGradient,
        gamma: f32,
        inv_count: f32,
    ) -> Self {
        Self {
            mean: of.mean,
            factor: gamma * of.rstd,
            by_distance: gradient.weight * of.rstd * inv_count,
            mean_g: gradient.bias * inv_count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    const AREA: usize = 6;
    const LANES: usize = 24;
    const SAMPLES: usize = 19;
    const EPS: f64 = 1e-5;
    const EPS_F32: f32 = 1e-5;

    fn valid() -> Vec<f32> {
        (0..LANES)
            .map(|lane| if lane < SAMPLES { 1.0 } else { 0.0 })
            .collect()
    }

    fn is_sample(at: usize) -> bool {
        at % LANES < SAMPLES
    }

    /// The outputs in f64.
    fn outputs(x: &[f64], gamma: f64, beta: f64, relu: bool) -> Vec<f64> {
        let samples = || {
            let all = x.iter().enumerate();
            all.filter(|(at, _)| is_sample(*at)).map(|(_, x)| x)
        };
        let count = (AREA * SAMPLES) as f64;
        let mean = samples().sum::<f64>() / count;
        let variance = samples().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let y = x
            .iter()
            .map(|x| (x - mean) / (variance + EPS).sqrt() * gamma + beta);
        y.map(|y| if relu { y.max(0.0) } else { y }).collect()
    }

    #[test]
    fn values_and_gradients_are_those_of_finite_differences_in_f64_on_every_width() {
        for relu in [false, true] {
            let (mut x, mut g) = (test_values(1, AREA * LANES), test_values(2, AREA * LANES));
            for x in &mut x {
                *x = 3.0 * *x + 5.0;
            }
            for at in (0..x.len()).filter(|&at| !is_sample(at)) {
                // No garbage in the lanes beyond the batch matters.
                (x[at], g[at]) = (1e30, 0.0);
            }
            let (gamma, beta) = (1.7_f32, -0.3_f32);
            let inv_count = 1.0 / (AREA * SAMPLES) as f32;
            let (y, g_x, unit) = same_bits(|| {
                let Moments { mean, variance } = moments(&x, &valid(), SAMPLES);
                let rstd = 1.0 / (variance + EPS_F32).sqrt();
                let line = Line {
                    mean,
                    factor: gamma * rstd,
                    shift: beta,
                };
                let (mut y, mut g_x, mut g) =
                    (vec![0.0; x.len()], test_values(3, x.len()), g.clone());
                normalise(&mut y, &x, line, relu);
                let of = NormalisedBy { mean, rstd };
                let unit = unit_gradient(&mut g, &x, of, relu.then_some(line));
                let slope = UnitSlope::new(of, unit, gamma, inv_count);
                input_gradient(&mut g_x, &g, &x, &valid(), slope);
                (y, g_x, [unit.weight, unit.bias])
            });
            let exact: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            let (gamma, beta) = (f64::from(gamma), f64::from(beta));
            let loss = |x: &[f64], gamma: f64, beta: f64| -> f64 {
                let y = outputs(x, gamma, beta, relu);
                let terms = y.iter().zip(&g).enumerate();
                let terms = terms.filter(|(at, _)| is_sample(*at));
                terms.map(|(_, (y, &g))| y * f64::from(g)).sum()
            };
            for (at, expected) in outputs(&exact, gamma, beta, relu).iter().enumerate() {
                assert!(!is_sample(at) || (f64::from(y[at]) - expected).abs() < 1e-5);
            }
            let h = 1e-5;
            let by_gamma =
                (loss(&exact, gamma + h, beta) - loss(&exact, gamma - h, beta)) / (2.0 * h);
            let by_beta =
                (loss(&exact, gamma, beta + h) - loss(&exact, gamma, beta - h)) / (2.0 * h);
            for (found, expected) in unit.iter().zip([by_gamma, by_beta]) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4,
                    "{found} {expected}"
                );
            }
            for (at, &found) in g_x.iter().enumerate() {
                if !is_sample(at) {
                    assert_eq!(found.to_bits(), 0, "{at}");
                    continue;
                }
                let mut moved = exact.clone();
                moved[at] += h;
                let above = loss(&moved, gamma, beta);
                moved[at] -= 2.0 * h;
                let slope = (above - loss(&moved, gamma, beta)) / (2.0 * h);
                assert!(
                    (f64::from(found) - slope).abs() < 1e-5,
                    "{at}: {found} {slope}"
                );
            }
        }
    }
}
