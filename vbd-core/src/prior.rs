//! Priors of a weight: the KL divergence from posterior to prior, and its slope.
//!
//! Both KLs depend on the posterior only through `log_alpha`. The gradients of the parameters
//! follow from the slope in `log_alpha`: `d log_alpha / d log_sigma2 = 1`, `d log_alpha / d theta =
//! -2 / theta`.

use candle_core::Tensor;

use crate::posterior::LOG_SIGMA2_MAX;
use serde::{Deserialize, Serialize};

/// Coefficients of the log-uniform prior's KL (Molchanov et al. 2017, eq. 14).
pub(crate) const K1: f64 = 0.63576;
pub(crate) const K2: f64 = 1.87320;
pub(crate) const K3: f64 = 1.48695;
/// Coefficients of alpha, its square and its cube in the same KL for alpha up to 1 (Kingma et al. 2015,
/// section 4.2).
pub(crate) const C: [f64; 3] = [1.161_451_24, -1.502_041_18, 0.586_299_21];

/// A prior over weights. KLs are in nats and positive, to be added to the loss.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// VBD: `w ~ N(0, gamma)`, `gamma ~ U(a, b)` (Liu et al. 2019, eq. 11). At the optimal gamma,
    /// `theta^2 + sigma2` (eq. 16), the KL is `0.5 ln(1 + 1/alpha)` (eq. 14, 16 to 18).
    Hierarchical,
    /// Sparse VD: `p(|w|) ~ 1/|w|` (Molchanov et al. 2017, eq. 14), with the approximation `k1 - k1
    /// S(k2 + k3 log_alpha) + 0.5 ln(1 + 1/alpha)`, within 0.0095 of the exact value.
    LogUniform,
    /// VD: the same prior, for alpha up to 1 (Kingma et al. 2015, section 4.2): `k1 - 0.5 ln alpha - c1 alpha - c2
    /// alpha^2 - c3 alpha^3`, with the constant of [`Prior::LogUniform`] as alpha goes to 0. Whoever
    /// learns alpha keeps it at 1 or less ([`Prior::most_log_alpha`]).
    Polynomial,
}

impl Prior {
    /// Returns the KL of one weight.
    ///
    /// ```
    /// use vbd_core::prior::Prior;
    /// assert_eq!(Prior::Hierarchical.kl(0.0), 0.5 * 2.0_f64.ln());
    /// assert_eq!(Prior::Hierarchical.kl(f64::INFINITY), 0.0);
    /// ```
    pub fn kl(self, log_alpha: f64) -> f64 {
        let hierarchical = 0.5 * softplus(-log_alpha);
        match self {
            Self::Hierarchical => hierarchical,
            Self::LogUniform => hierarchical + K1 * sigmoid(-K2 - K3 * log_alpha),
            Self::Polynomial => {
                let (log_alpha, alpha) = (log_alpha.min(0.0), log_alpha.min(0.0).exp());
                let [c1, c2, c3] = C;
                K1 - 0.5 * log_alpha - alpha * (c1 + alpha * (c2 + alpha * c3))
            }
        }
    }

    /// Returns the largest `log_alpha` for which the KL is defined.
    pub fn most_log_alpha(self) -> f32 {
        match self {
            Self::Hierarchical | Self::LogUniform => LOG_SIGMA2_MAX,
            Self::Polynomial => 0.0,
        }
    }

    /// Returns the derivative of [`Prior::kl`] with respect to `log_alpha`. Never positive: more
    /// noise costs less.
    pub fn slope(self, log_alpha: f64) -> f64 {
        let hierarchical = -0.5 * sigmoid(-log_alpha);
        match self {
            Self::Hierarchical => hierarchical,
            Self::LogUniform => {
                let z = K2 + K3 * log_alpha;
                hierarchical - K1 * K3 * sigmoid(z) * sigmoid(-z)
            }
            Self::Polynomial => {
                let alpha = log_alpha.min(0.0).exp();
                let [c1, c2, c3] = C;
                -0.5 - alpha * (c1 + alpha * (2.0 * c2 + alpha * 3.0 * c3))
            }
        }
    }

    /// Computes the KL summed over a weight; differentiable.
    ///
    /// # Shapes
    /// - `theta`, `log_sigma2`: any, equal
    /// - returns: a scalar
    ///
    /// # Numerics
    /// Computed from `1/alpha = theta^2 / sigma2`, whose gradient is finite at theta = 0.
    ///
    /// # Errors
    /// If the shapes, types or devices differ.
    pub fn kl_sum(self, theta: &Tensor, log_sigma2: &Tensor) -> candle_core::Result<Tensor> {
        let inverse_alpha = (theta.sqr()? * log_sigma2.neg()?.exp()?)?;
        if self == Self::Polynomial {
            let log_alpha = inverse_alpha.maximum(1.0)?.log()?.neg()?;
            return self.kl_of(&log_alpha)?.sum_all();
        }
        let kl = ((&inverse_alpha + 1.0)?.log()? * 0.5)?;
        let kl = match self {
            Self::Hierarchical => kl,
            Self::LogUniform => {
                // S is flat to 1e-44 long before this floor, under which ln would lose its gradient.
                let minus_log_alpha = inverse_alpha.maximum(1e-30)?.log()?;
                let sigmoid = candle_nn::ops::sigmoid(&((minus_log_alpha * K3)? - K2)?)?;
                (kl + (sigmoid * K1)?)?
            }
            Self::Polynomial => unreachable!("returned above"),
        };
        kl.sum_all()
    }
}

impl Prior {
    /// Computes the KL of each `log_alpha`, -40 to 20; differentiable.
    ///
    /// # Shapes
    /// - `log_alpha` and the result: any, equal
    ///
    /// # Errors
    /// If the device fails.
    pub fn kl_of(self, log_alpha: &Tensor) -> candle_core::Result<Tensor> {
        let kl = ((log_alpha.neg()?.exp()? + 1.0)?.log()? * 0.5)?;
        match self {
            Self::Hierarchical => Ok(kl),
            Self::LogUniform => {
                let z = ((log_alpha * -K3)? - K2)?;
                kl + (candle_nn::ops::sigmoid(&z)? * K1)?
            }
            Self::Polynomial => {
                let alpha = log_alpha.exp()?;
                let [c1, c2, c3] = C;
                let polynomial = (((&alpha * c3)? + c2)? * &alpha)?;
                let polynomial = ((polynomial + c1)? * &alpha)?;
                ((log_alpha * -0.5)? - polynomial)? + K1
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Computes `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact limits")]
mod tests {
    use super::*;

    /// Eq. 14: the KL from `N(theta, sigma2)` to `N(0, gamma)`.
    fn kl_at_gamma(theta2: f64, sigma2: f64, gamma: f64) -> f64 {
        0.5 * ((gamma / sigma2).ln() - 1.0 + (sigma2 + theta2) / gamma)
    }

    /// The least value of `f` by golden section.
    fn minimum(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
        let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
        for _ in 0..200 {
            let (a, b) = (high - golden * (high - low), low + golden * (high - low));
            if f(a) < f(b) { high = b } else { low = a }
        }
        f(0.5 * (low + high))
    }

    #[test]
    fn hierarchical_kl_is_eq_14_minimised_over_gamma() {
        for step in 0..=400 {
            let log_alpha = -20.0 + 0.1 * f64::from(step);
            for theta2 in [1e-6_f64, 0.3, 40.0] {
                let sigma2 = theta2 * log_alpha.exp();
                let best = minimum(
                    |ln_gamma| kl_at_gamma(theta2, sigma2, ln_gamma.exp()),
                    -60.0,
                    60.0,
                );
                let kl = Prior::Hierarchical.kl(log_alpha);
                assert!(
                    (kl - best).abs() < 1e-9 * (1.0 + best),
                    "{log_alpha}: {kl} {best}"
                );
            }
        }
    }

    /// The log-uniform prior's KL as an exact series: with `j ~ Poisson(1 / (2 alpha))`,
    /// `-KL = -0.5 (ln 2 + E psi(j + 1/2)) - 0.5 (Euler's gamma + ln 2)`.
    fn log_uniform_kl_exact(log_alpha: f64) -> f64 {
        const EULER: f64 = 0.577_215_664_901_532_9;
        let rate = 0.5 * (-log_alpha).exp();
        let spread = 12.0 * rate.sqrt() + 40.0;
        // psi(1/2) = -gamma - 2 ln 2; psi(x + 1) = psi(x) + 1/x
        let mut psi = -EULER - 2.0 * 2.0_f64.ln();
        let (mut ln_factorial, mut mean) = (0.0, 0.0);
        let mut j = 0.0;
        while j < rate + spread {
            mean += (j * rate.ln() - rate - ln_factorial).exp() * psi;
            psi += 1.0 / (j + 0.5);
            j += 1.0;
            ln_factorial += j.ln();
        }
        0.5 * (2.0_f64.ln() + mean) + 0.5 * (EULER + 2.0_f64.ln())
    }

    #[test]
    fn log_uniform_kl_is_within_0_0095_of_the_exact_series() {
        let mut largest: f64 = 0.0;
        for step in 0..=200 {
            let log_alpha = -8.0 + 0.1 * f64::from(step);
            let error = Prior::LogUniform.kl(log_alpha) - log_uniform_kl_exact(log_alpha);
            largest = largest.max(error.abs());
        }
        assert!((0.009..0.0095).contains(&largest), "{largest}");
    }

    #[test]
    fn the_polynomial_kl_is_near_the_exact_series_for_alpha_up_to_1() {
        let mut largest: f64 = 0.0;
        for step in 0..=80 {
            let log_alpha = -8.0 + 0.1 * f64::from(step);
            let error = Prior::Polynomial.kl(log_alpha) - log_uniform_kl_exact(log_alpha);
            largest = largest.max(error.abs());
        }
        assert!((0.0..0.05).contains(&largest), "{largest}");
        assert_eq!(Prior::Polynomial.kl(3.0), Prior::Polynomial.kl(0.0));
    }

    #[test]
    fn tensors_have_the_same_kl() {
        use candle_core::Device;
        for prior in [Prior::Hierarchical, Prior::LogUniform, Prior::Polynomial] {
            let log_alpha: Vec<f64> = (-120..=0).map(|step| 0.1 * f64::from(step)).collect();
            let expected: f64 = log_alpha.iter().map(|&l| prior.kl(l)).sum();
            let tensor = Tensor::new(log_alpha.as_slice(), &Device::Cpu).unwrap();
            let of = prior.kl_of(&tensor).unwrap().sum_all().unwrap();
            let theta = Tensor::full(0.5, tensor.shape(), &Device::Cpu).unwrap();
            let log_sigma2 = (tensor + 2.0 * 0.5_f64.ln()).unwrap();
            let sum = prior.kl_sum(&theta, &log_sigma2).unwrap();
            for found in [of, sum] {
                let found = found.to_scalar::<f64>().unwrap();
                assert!((found - expected).abs() < 1e-9 * expected, "{prior:?}");
            }
        }
    }

    #[test]
    fn slopes_are_the_derivatives_of_the_kls() {
        for prior in [Prior::Hierarchical, Prior::LogUniform] {
            for step in -200..=200 {
                let log_alpha = 0.1 * f64::from(step);
                let h = 1e-5;
                let difference = (prior.kl(log_alpha + h) - prior.kl(log_alpha - h)) / (2.0 * h);
                assert!(
                    (prior.slope(log_alpha) - difference).abs() < 1e-9,
                    "{prior:?} {log_alpha}"
                );
            }
            assert_eq!(prior.kl(f64::INFINITY), 0.0);
            assert_eq!(prior.slope(f64::INFINITY), 0.0);
        }
        for step in -200..0 {
            let (log_alpha, h) = (0.1 * f64::from(step), 1e-5);
            let prior = Prior::Polynomial;
            let difference = (prior.kl(log_alpha + h) - prior.kl(log_alpha - h)) / (2.0 * h);
            assert!((prior.slope(log_alpha) - difference).abs() < 1e-9);
        }
    }
}
