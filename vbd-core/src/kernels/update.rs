//! What happens to a weight after backward, in one pass: the KL's gradient, Adam for theta and
//! `log_sigma2`, the clamp, and the masked mean and variance of the next step.

use super::{math, simd};
use crate::posterior;
use crate::prior::{K1, K2, K3, Prior};

/// Adam's constants (Kingma and Ba 2015), with epsilon outside the bias-corrected root.
pub(crate) const BETA1: f64 = 0.9;
pub(crate) const BETA2: f64 = 0.999;
pub(crate) const EPSILON: f64 = 1e-8;

/// Adam at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adam {
    lr: f32,
    /// `1 / (1 - beta1^t)`.
    m_correction: f32,
    /// `1 / (1 - beta2^t)`.
    v_correction: f32,
}

impl Adam {
    /// Adam at step `step`, from 0.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "computed in f64, used in f32"
    )]
    pub(crate) fn at(lr: f64, step: u32) -> Self {
        let t = f64::from(step) + 1.0;
        Self {
            lr: lr as f32,
            m_correction: (1.0 / (1.0 - BETA1.powf(t))) as f32,
            v_correction: (1.0 / (1.0 - BETA2.powf(t))) as f32,
        }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "constants")]
    fn update(self, value: f32, gradient: f32, (m, v): (&mut f32, &mut f32)) -> f32 {
        *m = (BETA1 as f32).mul_add(*m, (1.0 - BETA1) as f32 * gradient);
        *v = (BETA2 as f32).mul_add(*v, (1.0 - BETA2) as f32 * gradient * gradient);
        let root = (*v * self.v_correction).sqrt() + EPSILON as f32;
        value - self.lr * (*m * self.m_correction) / root
    }
}

/// Some of a parameter's values, and their moments m and v.
pub(crate) type Slices<'a> = [&'a mut [f32]; 3];

/// Updates plain values.
pub(crate) fn update_plain([value, m, v]: Slices<'_>, gradient: &[f32], adam: Adam) {
    simd(
        #[inline(always)]
        || {
            let moments = m.iter_mut().zip(&mut *v);
            for ((value, &gradient), moments) in value.iter_mut().zip(gradient).zip(moments) {
                *value = adam.update(*value, gradient, moments);
            }
        },
    );
}

/// The rule by which weights take part in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Masking {
    /// Weights at this `log_alpha` or over it are masked.
    pub(crate) log_alpha_threshold: f32,
    /// Whether they are masked at all; dead ones always are.
    pub(crate) active: bool,
}

impl Masking {
    #[inline(always)]
    fn keeps(self, theta: f32, log_sigma2: f32) -> bool {
        if self.active {
            posterior::is_kept(theta, log_sigma2, self.log_alpha_threshold)
        } else {
            !posterior::is_dead(log_sigma2)
        }
    }
}

/// The mean and variance that a step computes with: 0 where a weight is masked.
pub(crate) fn mask(
    (mean, variance): (&mut [f32], &mut [f32]),
    theta: &[f32],
    log_sigma2: &[f32],
    masking: Masking,
) {
    simd(
        #[inline(always)]
        || {
            let out = mean.iter_mut().zip(&mut *variance);
            for ((out, &theta), &log_sigma2) in out.zip(theta).zip(log_sigma2) {
                let kept = masking.keeps(theta, log_sigma2);
                *out.0 = if kept { theta } else { 0.0 };
                *out.1 = if kept { math::exp(log_sigma2) } else { 0.0 };
            }
        },
    );
}

/// The data's gradients, of which masked weights take nothing.
pub(crate) struct DataGradient<'a> {
    /// By theta.
    pub(crate) theta: &'a [f32],
    /// By sigma2.
    pub(crate) sigma2: &'a [f32],
}

/// Updates theta and `log_sigma2`, and the masked mean and variance with them.
///
/// `kl_factor` is `kl_scale * kl_weight / N`.
pub(crate) fn update_variational(
    ([theta, theta_m, theta_v], [log_sigma2, log_sigma2_m, log_sigma2_v]): (Slices<'_>, Slices<'_>),
    (mean, variance): (&mut [f32], &mut [f32]),
    data: &DataGradient<'_>,
    (prior, kl_factor): (Prior, f32),
    (adam, masking): (Adam, Masking),
) {
    // Each prior gets its own inlined loop.
    macro_rules! run {
        ($gradient:expr) => {
            simd(
                #[inline(always)]
                || {
                    let theta_moments = theta_m.iter_mut().zip(&mut *theta_v);
                    let log_sigma2_moments = log_sigma2_m.iter_mut().zip(&mut *log_sigma2_v);
                    let moments = theta_moments.zip(log_sigma2_moments);
                    let values = theta.iter_mut().zip(&mut *log_sigma2);
                    let masked = mean.iter_mut().zip(&mut *variance);
                    let data = data.theta.iter().zip(data.sigma2);
                    for (((values, moments), masked), data) in
                        values.zip(moments).zip(masked).zip(data)
                    {
                        let (theta, log_sigma2) = (*values.0, *values.1);
                        let took_part = *masked.1 > 0.0;
                        let (kl_theta, kl_log_sigma2) =
                            $gradient(theta, log_sigma2, math::exp(log_sigma2));
                        let g_theta = if took_part { *data.0 } else { 0.0 };
                        let g_theta = kl_factor.mul_add(kl_theta, g_theta);
                        let g_sigma2 = if took_part { *data.1 } else { 0.0 };
                        let g_log_sigma2 = kl_factor.mul_add(kl_log_sigma2, g_sigma2 * *masked.1);
                        let theta = adam.update(theta, g_theta, moments.0);
                        let log_sigma2 = posterior::clamp_log_sigma2(adam.update(
                            log_sigma2,
                            g_log_sigma2,
                            moments.1,
                        ));
                        (*values.0, *values.1) = (theta, log_sigma2);
                        let kept = masking.keeps(theta, log_sigma2);
                        *masked.0 = if kept { theta } else { 0.0 };
                        *masked.1 = if kept { math::exp(log_sigma2) } else { 0.0 };
                    }
                },
            )
        };
    }
    match prior {
        Prior::Hierarchical => run!(hierarchical),
        Prior::LogUniform => run!(log_uniform),
    }
}

/// The sum of the KL over weights; dead ones have none.
pub(crate) fn kl_sum(theta: &[f32], log_sigma2: &[f32], prior: Prior) -> f64 {
    let kl = |(&theta, &log_sigma2)| prior.kl(posterior::log_alpha(theta, log_sigma2));
    theta.iter().zip(log_sigma2).map(kl).sum()
}

/// Gradients of the hierarchical prior's KL by theta and `log_sigma2`.
#[inline(always)]
fn hierarchical(theta: f32, _log_sigma2: f32, sigma2: f32) -> (f32, f32) {
    let gamma = theta.mul_add(theta, sigma2);
    let by_theta = theta / gamma;
    (by_theta, -0.5 * theta * by_theta)
}

/// Gradients of the log-uniform prior's KL by theta and `log_sigma2`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "constants")]
fn log_uniform(theta: f32, log_sigma2: f32, sigma2: f32) -> (f32, f32) {
    let (by_theta, by_log_sigma2) = hierarchical(theta, log_sigma2, sigma2);
    let log_alpha = math::ln(theta.abs()).mul_add(-2.0, log_sigma2);
    // S(z) S(-z) = e^-z / (1 + e^-z)^2, even in z, and 0 at both ends
    let z = (K3 as f32).mul_add(log_alpha, K2 as f32);
    let e = if z.abs() < 80.0 {
        math::exp(-z.abs())
    } else {
        0.0
    };
    let slope = (K1 * K3) as f32 * e / ((1.0 + e) * (1.0 + e));
    let by_theta = if theta == 0.0 {
        by_theta
    } else {
        by_theta + 2.0 * slope / theta
    };
    (by_theta, by_log_sigma2 - slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kl_gradients_are_those_of_the_prior() {
        for (prior, gradient) in [
            (Prior::Hierarchical, hierarchical as fn(f32, f32, f32) -> _),
            (Prior::LogUniform, log_uniform),
        ] {
            for log_alpha in (-80..=80).map(|i| 0.25 * i as f32) {
                for theta in [1e-4_f32, -0.03, 2.0] {
                    let log_sigma2 = log_alpha + 2.0 * theta.abs().ln();
                    let (by_theta, by_log_sigma2) = gradient(theta, log_sigma2, log_sigma2.exp());
                    let slope = prior.slope(posterior::log_alpha(theta, log_sigma2));
                    let expected = -2.0 * slope / f64::from(theta);
                    assert!(
                        (f64::from(by_log_sigma2) - slope).abs() < 3e-6 * (1e-3 + slope.abs()),
                        "{prior:?} {log_alpha}"
                    );
                    assert!(
                        (f64::from(by_theta) - expected).abs() < 3e-6 * (1e-3 + expected.abs()),
                        "{prior:?} {log_alpha}"
                    );
                }
            }
            for log_sigma2 in [-40.0, 20.0, f32::INFINITY] {
                assert_eq!(gradient(0.0, log_sigma2, math::exp(log_sigma2)), (0.0, 0.0));
            }
        }
    }
}
