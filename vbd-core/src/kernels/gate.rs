//! Gates: every unit times its own factor, drawn for each sample (Liu et al. 2019, eq. 19).
//!
//! `y = x w`, `w = theta + sigma eps`. Backward: `x` gets `g w`; theta gets the sum of `g x`, and sigma
//! that of `g x eps`, over samples and positions.

use super::{simd, sum};
use crate::noise::NoiseKey;

/// Draws the factors of a unit for each sample.
///
/// # Shapes
/// - `factor`, `eps`: `[lanes]`
pub(crate) fn draw(
    (factor, eps): (&mut [f32], &mut [f32]),
    (theta, sigma2): (f32, f32),
    (key, unit): (NoiseKey, u32),
) {
    let sigma = sigma2.sqrt();
    simd(
        #[inline(always)]
        || {
            key.fill_normal_inline(unit, eps);
            for (factor, &eps) in factor.iter_mut().zip(&*eps) {
                *factor = sigma.mul_add(eps, theta);
            }
        },
    );
}

/// `y = x factor`.
///
/// # Shapes
/// - `y`, `x`: `[area, lanes]`; `factor`: `[lanes]`
pub(crate) fn multiply(y: &mut [f32], x: &[f32], factor: &[f32]) {
    simd(
        #[inline(always)]
        || {
            let rows = y.chunks_exact_mut(factor.len());
            for (y, x) in rows.zip(x.chunks_exact(factor.len())) {
                for ((y, &x), &factor) in y.iter_mut().zip(x).zip(factor) {
                    *y = x * factor;
                }
            }
        },
    );
}

/// The gradients of theta and sigma; `by_factor` is scratch.
///
/// # Shapes
/// - `x`, `g`: `[area, lanes]`; `eps`, `by_factor`: `[lanes]`
pub(crate) fn gradients(x: &[f32], g: &[f32], eps: &[f32], by_factor: &mut [f32]) -> [f32; 2] {
    let mut by = [0.0; 2];
    simd(
        #[inline(always)]
        || {
            by_factor.fill(0.0);
            let rows = x.chunks_exact(eps.len()).zip(g.chunks_exact(eps.len()));
            for (x, g) in rows {
                for ((by, &x), &g) in by_factor.iter_mut().zip(x).zip(g) {
                    *by = x.mul_add(g, *by);
                }
            }
            by[0] = sum(by_factor);
            for (by, &eps) in by_factor.iter_mut().zip(eps) {
                *by *= eps;
            }
            by[1] = sum(by_factor);
        },
    );
    by
}

#[cfg(test)]
mod tests {
    use super::super::test_values;
    use super::*;
    use crate::noise::Stream;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (area, lanes) = (5, 32);
        let (x, weight) = (test_values(0, area * lanes), test_values(1, area * lanes));
        let key = NoiseKey {
            seed: 3,
            step: 1,
            stream: Stream::Gate(2),
        };
        let mut eps = vec![0.0; lanes];
        let mut loss = |theta: f32, sigma: f32| -> f64 {
            let (mut factor, mut y) = (vec![0.0; lanes], vec![0.0; area * lanes]);
            draw((&mut factor, &mut eps), (theta, sigma * sigma), (key, 7));
            multiply(&mut y, &x, &factor);
            let terms = y.iter().zip(&weight);
            terms.map(|(&y, &w)| f64::from(y) * f64::from(w)).sum()
        };
        let (theta, sigma, h) = (0.7, 0.3, 0.125);
        // The loss is linear in both: differences are exact but for rounding.
        let by_theta = (loss(theta + h, sigma) - loss(theta - h, sigma)) / (2.0 * f64::from(h));
        let by_sigma = (loss(theta, sigma + h) - loss(theta, sigma - h)) / (2.0 * f64::from(h));
        let found = gradients(&x, &weight, &eps, &mut vec![0.0; lanes]);
        assert!((f64::from(found[0]) - by_theta).abs() < 1e-4);
        assert!((f64::from(found[1]) - by_sigma).abs() < 1e-4);
    }
}
