//! Gates: multiplies every unit by its own factor, drawn for each sample (Liu et al. 2019, eq. 19).
//!
//! `y = x w` with `w = theta + sigma eps`. Backward, the gradient of `x` is `g w`; that of theta
//! sums `g x`, and that of sigma `g x eps`, over samples and positions.

use super::vector::{each_vector, kernel, sum};
use crate::noise::NoiseKey;

/// Posterior of a unit's factor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factor {
    pub(crate) theta: f32,
    pub(crate) sigma2: f32,
}

kernel! {
    /// Draws the factors of a unit for each sample.
    ///
    /// # Shapes
    /// - `factor`, `eps`: `[lanes]`
    pub(crate) fn draw<S>(
        simd,
        factor: &mut [f32],
        eps: &mut [f32],
        of: Factor,
        key: NoiseKey,
        unit: u32,
    ) {
        key.fill_normal_on(simd, unit, eps);
        let sigma = of.sigma2.sqrt();
        each_vector(simd, [factor], [eps], #[inline(always)] |_, [eps]| {
            [eps.like(sigma).mul_add(eps, eps.like(of.theta))]
        });
    }
}

kernel! {
    /// Computes `y = x factor`.
    ///
    /// # Shapes
    /// - `y`, `x`: `[area, lanes]`; `factor`: `[lanes]`
    pub(crate) fn multiply<S>(simd, y: &mut [f32], x: &[f32], factor: &[f32]) {
        let rows = y.chunks_exact_mut(factor.len());
        for (y, x) in rows.zip(x.chunks_exact(factor.len())) {
            each_vector(simd, [y], [x, factor], #[inline(always)] |_, [x, factor]| [x * factor]);
        }
    }
}

kernel! {
    /// Computes the gradients of theta and sigma; `by_factor` is scratch.
    ///
    /// # Shapes
    /// - `x`, `g`: `[area, lanes]`; `eps`, `by_factor`: `[lanes]`
    pub(crate) fn gradients<S>(
        simd,
        x: &[f32],
        g: &[f32],
        eps: &[f32],
        by_factor: &mut [f32],
    ) -> [f32; 2] {
        by_factor.fill(0.0);
        for (x, g) in x.chunks_exact(eps.len()).zip(g.chunks_exact(eps.len())) {
            each_vector(simd, [&mut *by_factor], [x, g], #[inline(always)] |[by], [x, g]| {
                [x.mul_add(g, by)]
            });
        }
        let by_theta = sum(simd, by_factor);
        each_vector(simd, [&mut *by_factor], [eps], #[inline(always)] |[by], [eps]| [by * eps]);
        [by_theta, sum(simd, by_factor)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_values;
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
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
            let of = Factor {
                theta,
                sigma2: sigma * sigma,
            };
            draw(&mut factor, &mut eps, of, key, 7);
            multiply(&mut y, &x, &factor);
            let terms = y.iter().zip(&weight);
            terms.map(|(&y, &w)| f64::from(y) * f64::from(w)).sum()
        };
        let (theta, sigma, h) = (0.7, 0.3, 0.125);
        // The loss is linear in both: differences are exact but for rounding.
        let by_theta = (loss(theta + h, sigma) - loss(theta - h, sigma)) / (2.0 * f64::from(h));
        let by_sigma = (loss(theta, sigma + h) - loss(theta, sigma - h)) / (2.0 * f64::from(h));
        let found = same_bits(|| gradients(&x, &weight, &eps, &mut vec![0.0; lanes]));
        assert!((f64::from(found[0]) - by_theta).abs() < 1e-4);
        assert!((f64::from(found[1]) - by_sigma).abs() < 1e-4);
    }
}
