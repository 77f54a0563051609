//! Update of a weight in one pass: KL gradient, optimiser step of theta and `log_sigma2`, clamp,
//! and masked mean and variance for the next step.

use pulp::Simd;

use crate::kernels::math;
use crate::kernels::vector::{F32s, Mask, each_vector, kernel};
use crate::method::DataGradient;
use crate::optim::{self, Descent, Moments, Slices};
use crate::posterior::{self, LOG_SIGMA2_DEAD, LOG_SIGMA2_MIN};
use crate::prior::{C, K1, K2, K3, Prior};

/// Rule for masking weights in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DropMask {
    /// Weights with `log_alpha` at or above this are masked.
    pub(crate) log_alpha_threshold: f32,
    /// Whether to mask them; dead weights are always masked.
    pub(crate) active: bool,
}

impl DropMask {
    /// Returns [`posterior::is_kept`], or if inactive whether a weight is live.
    #[inline(always)]
    fn keeps<S: Simd>(self, theta: F32s<S>, log_sigma2: F32s<S>) -> Mask<S> {
        if self.active {
            let ln = math::ln(theta.abs());
            log_sigma2.less_than(ln.horner(ln.like(2.0), self.log_alpha_threshold))
        } else {
            log_sigma2.equals(log_sigma2.like(LOG_SIGMA2_DEAD)).not()
        }
    }
}

kernel! {
    /// Computes the mean and variance used in a step: 0 where a weight is masked.
    pub(crate) fn mask<S>(
        simd,
        mean: &mut [f32],
        variance: &mut [f32],
        theta: &[f32],
        log_sigma2: &[f32],
        masking: DropMask,
    ) {
        mask_on(simd, [mean, variance], [theta, log_sigma2], masking);
    }
}

/// [`mask`] for use in kernels.
#[inline(always)]
fn mask_on<S: Simd>(simd: S, masked: [&mut [f32]; 2], of: [&[f32]; 2], masking: DropMask) {
    each_vector(
        simd,
        masked,
        of,
        #[inline(always)]
        |_, [theta, log_sigma2]| {
            let kept = masking.keeps(theta, log_sigma2);
            [kept.keep(theta), kept.keep(math::exp(log_sigma2))]
        },
    );
}

/// Weights with a posterior, and their mean and variance in a step.
pub(crate) struct Posteriors<'a> {
    pub(crate) theta: Slices<'a>,
    pub(crate) log_sigma2: Slices<'a>,
    pub(crate) mean: &'a mut [f32],
    pub(crate) variance: &'a mut [f32],
}

/// Settings of an update of posteriors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VariationalUpdate {
    pub(crate) prior: Prior,
    /// `kl_scale * kl_weight / N`.
    pub(crate) kl_factor: f32,
    pub(crate) descent: Descent,
    /// Largest `log_sigma2`.
    pub(crate) most_log_sigma2: f32,
    pub(crate) masking: DropMask,
}

// limit update_variational: avx2 30, scalar 700 instructions a weight
// limit update_variational_log_uniform: avx2 44, scalar 1050 instructions a weight
kernel! {
    /// Updates theta and `log_sigma2`, and computes the masked mean and variance.
    pub(crate) fn update_variational<S>(
        simd,
        weights: Posteriors<'_>,
        data: DataGradient<'_>,
        rule: VariationalUpdate,
    ) {
        // Each optimiser and each prior get their own inlined loop.
        match rule.descent {
            Descent::Adam(adam) => variational_by(simd, weights, data, rule, [adam; 2]),
            Descent::Sgd(sgd) => {
                let Descent::Sgd(plain) = rule.descent.without_decay() else {
                    unreachable!("the same optimiser")
                };
                variational_by(simd, weights, data, rule, [sgd, plain]);
            }
        }
    }
}

/// Updates by one optimiser for theta and one without decay for `log_sigma2`.
#[inline(always)]
fn variational_by<S: Simd, R: optim::UpdateRule>(
    simd: S,
    weights: Posteriors<'_>,
    data: DataGradient<'_>,
    rule: VariationalUpdate,
    by: [R; 2],
) {
    match rule.prior {
        Prior::Hierarchical => update_by(
            simd,
            weights,
            data,
            (rule, by),
            #[inline(always)]
            |weight| hierarchical(weight),
        ),
        Prior::LogUniform => update_by(
            simd,
            weights,
            data,
            (rule, by),
            #[inline(always)]
            |weight| log_uniform(weight),
        ),
        Prior::Polynomial => update_by(
            simd,
            weights,
            data,
            (rule, by),
            #[inline(always)]
            |weight| polynomial(weight),
        ),
    }
}

/// Number of weights updated at once. Each update is a long chain of dependent operations; in three
/// passes over a few weights, the chains overlap and intermediate values stay in cache.
const AT_ONCE: usize = 128;

#[inline(always)]
fn update_by<S: Simd, R: optim::UpdateRule>(
    simd: S,
    weights: Posteriors<'_>,
    data: DataGradient<'_>,
    (rule, [of_theta, of_log_sigma2]): (VariationalUpdate, [R; 2]),
    kl_gradient: impl Fn(Posterior<S>) -> KlGradient<S>,
) {
    let [theta, theta_m, theta_v] = weights.theta;
    let [log_sigma2, log_sigma2_m, log_sigma2_v] = weights.log_sigma2;
    let mut sigma2 = [0.0; AT_ONCE];
    for from in (0..theta.len()).step_by(AT_ONCE) {
        let at = from..theta.len().min(from + AT_ONCE);
        let sigma2 = &mut sigma2[..at.len()];
        let (theta, log_sigma2) = (&mut theta[at.clone()], &mut log_sigma2[at.clone()]);
        let [mean, variance] = [&mut *weights.mean, &mut *weights.variance];
        let (mean, variance) = (&mut mean[at.clone()], &mut variance[at.clone()]);
        each_vector(
            simd,
            [&mut *sigma2],
            [log_sigma2],
            #[inline(always)]
            |_, [log_sigma2]| [math::exp(log_sigma2)],
        );
        let written = [
            &mut *theta,
            &mut theta_m[at.clone()],
            &mut theta_v[at.clone()],
            &mut *log_sigma2,
            &mut log_sigma2_m[at.clone()],
            &mut log_sigma2_v[at.clone()],
        ];
        let read = [
            &*sigma2,
            variance,
            &data.theta[at.clone()],
            &data.sigma2[at.clone()],
        ];
        each_vector(
            simd,
            written,
            read,
            #[inline(always)]
            |[theta, theta_m, theta_v, log_sigma2, m, v],
             [sigma2, variance, by_mean, by_variance]| {
                let kl_factor = theta.like(rule.kl_factor);
                let kl = kl_gradient(Posterior {
                    theta,
                    log_sigma2,
                    sigma2,
                });
                // A weight took part in the step if its variance is not 0.
                let took_part = theta.like(0.0).less_than(variance);
                let by_theta = kl_factor.mul_add(kl.theta, took_part.keep(by_mean));
                let by_sigma2 = took_part.keep(by_variance);
                let by_log_sigma2 = kl_factor.mul_add(kl.log_sigma2, by_sigma2 * variance);
                let old = Moments {
                    value: theta,
                    m: theta_m,
                    v: theta_v,
                };
                let theta = of_theta.update(old, by_theta);
                let old = Moments {
                    value: log_sigma2,
                    m,
                    v,
                };
                let log_sigma2 = of_log_sigma2.update(old, by_log_sigma2);
                [
                    theta.value,
                    theta.m,
                    theta.v,
                    clamp_log_sigma2(log_sigma2.value, rule.most_log_sigma2),
                    log_sigma2.m,
                    log_sigma2.v,
                ]
            },
        );
        mask_on(simd, [mean, variance], [theta, log_sigma2], rule.masking);
    }
}

/// [`posterior::clamp_log_sigma2`], to at most `most`.
#[inline(always)]
fn clamp_log_sigma2<S: Simd>(log_sigma2: F32s<S>, most: f32) -> F32s<S> {
    let dead = log_sigma2.equals(log_sigma2.like(LOG_SIGMA2_DEAD));
    dead.select(log_sigma2, log_sigma2.clamp(LOG_SIGMA2_MIN, most))
}

/// Returns the KL summed over weights; dead weights have none.
pub(crate) fn kl_sum(theta: &[f32], log_sigma2: &[f32], prior: Prior) -> f64 {
    let kl = |(&theta, &log_sigma2)| prior.kl(posterior::log_alpha(theta, log_sigma2));
    theta.iter().zip(log_sigma2).map(kl).sum()
}

/// Posteriors of some weights.
#[derive(Clone, Copy)]
struct Posterior<S: Simd> {
    theta: F32s<S>,
    log_sigma2: F32s<S>,
    sigma2: F32s<S>,
}

/// Gradients of the KL.
#[derive(Clone, Copy)]
struct KlGradient<S: Simd> {
    theta: F32s<S>,
    log_sigma2: F32s<S>,
}

/// Computes the gradients of the hierarchical prior's KL with respect to theta and `log_sigma2`.
#[inline(always)]
fn hierarchical<S: Simd>(Posterior { theta, sigma2, .. }: Posterior<S>) -> KlGradient<S> {
    let gamma = theta.mul_add(theta, sigma2);
    let by_theta = theta / gamma;
    KlGradient {
        theta: by_theta,
        log_sigma2: theta.like(-0.5) * theta * by_theta,
    }
}

/// Computes the gradients of the log-uniform prior's KL with respect to theta and `log_sigma2`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "constants")]
fn log_uniform<S: Simd>(weight: Posterior<S>) -> KlGradient<S> {
    let by = hierarchical(weight);
    let Posterior {
        theta, log_sigma2, ..
    } = weight;
    let log_alpha = math::ln(theta.abs()).mul_add(theta.like(-2.0), log_sigma2);
    // S(z) S(-z) = e^-z / (1 + e^-z)^2, even in z, and 0 at both ends
    let z = theta
        .like(K3 as f32)
        .mul_add(log_alpha, theta.like(K2 as f32))
        .abs();
    let e = z.less_than(z.like(80.0)).keep(math::exp(-z));
    let root = z.like(1.0) + e;
    let slope = z.like((K1 * K3) as f32) * e / (root * root);
    let through_alpha = by.theta + z.like(2.0) * slope / theta;
    let is_zero = theta.equals(theta.like(0.0));
    KlGradient {
        theta: is_zero.select(by.theta, through_alpha),
        log_sigma2: by.log_sigma2 - slope,
    }
}

/// Computes the gradients of the polynomial KL for the posterior of a gate: theta, which is 1 and stays so,
/// has none.
#[inline(always)]
fn polynomial<S: Simd>(Posterior { theta, sigma2, .. }: Posterior<S>) -> KlGradient<S> {
    KlGradient {
        theta: theta.like(0.0),
        log_sigma2: polynomial_slope(sigma2),
    }
}

/// Computes [`Prior::slope`] of [`Prior::Polynomial`] for an alpha up to 1.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "constants")]
pub(crate) fn polynomial_slope<S: Simd>(alpha: F32s<S>) -> F32s<S> {
    let [c1, c2, c3] = C.map(|c| c as f32);
    let slope = alpha.like(3.0 * c3).horner(alpha, 2.0 * c2);
    -slope.horner(alpha, c1).horner(alpha, 0.5)
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;
    use crate::optim::Optimizer;

    fn gradient(prior: Prior, theta: f32, log_sigma2: f32) -> [f32; 2] {
        let vector = |value| F32s::new(Scalar, value);
        let weight = Posterior {
            theta: vector(theta),
            log_sigma2: vector(log_sigma2),
            sigma2: math::exp(vector(log_sigma2)),
        };
        let by = match prior {
            Prior::Hierarchical => hierarchical(weight),
            Prior::LogUniform => log_uniform(weight),
            Prior::Polynomial => polynomial(weight),
        };
        [by.theta.lanes(), by.log_sigma2.lanes()]
    }

    #[test]
    fn the_polynomial_gradient_of_a_gates_posterior_is_the_slope() {
        for log_alpha in (-80..=0).map(|i| 0.25 * i as f32) {
            let [by_theta, by_log_sigma2] = gradient(Prior::Polynomial, 1.0, log_alpha);
            let slope = Prior::Polynomial.slope(f64::from(log_alpha));
            assert!(by_theta.abs() < 1e-30);
            assert!(
                (f64::from(by_log_sigma2) - slope).abs() < 3e-6,
                "{log_alpha}"
            );
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "exact limits")]
    fn kl_gradients_are_those_of_the_prior() {
        for prior in [Prior::Hierarchical, Prior::LogUniform] {
            for log_alpha in (-80..=80).map(|i| 0.25 * i as f32) {
                for theta in [1e-4_f32, -0.03, 2.0] {
                    let log_sigma2 = log_alpha + 2.0 * theta.abs().ln();
                    let [by_theta, by_log_sigma2] = gradient(prior, theta, log_sigma2);
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
                assert_eq!(gradient(prior, 0.0, log_sigma2), [0.0, 0.0]);
            }
        }
    }

    #[test]
    fn the_clamp_is_the_posteriors() {
        let values = [
            -41.0,
            -40.0,
            -10.0,
            0.0,
            20.0,
            20.5,
            LOG_SIGMA2_DEAD,
            f32::NEG_INFINITY,
            f32::NAN,
        ];
        for value in values {
            let found =
                clamp_log_sigma2(F32s::new(Scalar, value), posterior::LOG_SIGMA2_MAX).lanes();
            let expected = posterior::clamp_log_sigma2(value);
            assert_eq!(found.to_bits(), expected.to_bits(), "{value}");
        }
    }

    /// Arrays of an update: theta, `log_sigma2` with their moments, mean, variance.
    type Weights = [Vec<f32>; 8];

    const MASKING: DropMask = DropMask {
        log_alpha_threshold: 3.0,
        active: true,
    };

    fn weights(len: usize) -> Weights {
        let scaled = |seed, scale: f32| -> Vec<f32> {
            test_values(seed, len)
                .into_iter()
                .map(|x| scale * x)
                .collect()
        };
        let squares = |seed| scaled(seed, 1e-2).into_iter().map(|x| x * x).collect();
        let mut log_sigma2: Vec<f32> = scaled(4, 8.0).into_iter().map(|x| x - 8.0).collect();
        let mut theta = scaled(1, 0.1);
        // dead, at the bounds, at zero
        for (at, (own_theta, own)) in [(0.0, LOG_SIGMA2_DEAD), (0.0, -40.0), (0.5, 20.0)]
            .into_iter()
            .enumerate()
        {
            (theta[at], log_sigma2[at]) = (own_theta, own);
        }
        let (mut mean, mut variance) = (vec![0.0; len], vec![0.0; len]);
        mask(&mut mean, &mut variance, &theta, &log_sigma2, MASKING);
        [
            theta,
            scaled(2, 1e-2),
            squares(3),
            log_sigma2,
            scaled(5, 1e-2),
            squares(6),
            mean,
            variance,
        ]
    }

    fn update(weights: &mut Weights, by: [&[f32]; 2], rule: VariationalUpdate) {
        let [theta, theta_m, theta_v, log_sigma2, m, v, mean, variance] = weights;
        let posteriors = Posteriors {
            theta: [theta, theta_m, theta_v],
            log_sigma2: [log_sigma2, m, v],
            mean,
            variance,
        };
        let data = DataGradient {
            theta: by[0],
            sigma2: by[1],
        };
        update_variational(posteriors, data, rule);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "masked is 0, dead is infinite")]
    fn an_update_is_that_of_its_optimiser_in_f64_on_every_width() {
        let len = 203;
        let by = [test_values(7, len), test_values(8, len)];
        let sgd = Optimizer::Sgd {
            momentum: 0.7,
            weight_decay: 0.03,
        };
        let priors = [Prior::Hierarchical, Prior::LogUniform].into_iter();
        let cases = priors.flat_map(|prior| [(prior, Optimizer::Adam), (prior, sgd)]);
        for (prior, optimizer) in cases {
            let rule = VariationalUpdate {
                prior,
                kl_factor: 1e-2,
                descent: optimizer.at(1e-3, 4),
                most_log_sigma2: posterior::LOG_SIGMA2_MAX,
                masking: MASKING,
            };
            let old = weights(len);
            let new = same_bits(|| {
                let mut new = old.clone();
                update(&mut new, [&by[0], &by[1]], rule);
                new.map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            })
            .map(|bits| bits.into_iter().map(f32::from_bits).collect::<Vec<_>>());
            for at in 0..len {
                let [theta, theta_m, theta_v, log_sigma2, m, v, _, variance] =
                    old.each_ref().map(|values| values[at]);
                let took_part = f64::from(u8::from(variance > 0.0));
                let slope = prior.slope(posterior::log_alpha(theta, log_sigma2));
                let kl_theta = if theta == 0.0 {
                    0.0
                } else {
                    -2.0 * slope / f64::from(theta)
                };
                let data = by.each_ref().map(|by| took_part * f64::from(by[at]));
                let by_theta = data[0] + 1e-2 * kl_theta;
                let by_log_sigma2 = data[1] * f64::from(variance) + 1e-2 * slope;
                for (gradient, [value, m, v], places) in [
                    (by_theta, [theta, theta_m, theta_v], [0, 1, 2]),
                    (by_log_sigma2, [log_sigma2, m, v], [3, 4, 5]),
                ] {
                    let [value, m, v] = [value, m, v].map(f64::from);
                    let [value, m, v] = if optimizer == Optimizer::Adam {
                        let m = 0.9 * m + 0.1 * gradient;
                        let v = 0.999 * v + 0.001 * gradient * gradient;
                        let root = (v / (1.0 - 0.999_f64.powi(5))).sqrt() + 1e-8;
                        [value - 1e-3 * m / (1.0 - 0.9_f64.powi(5)) / root, m, v]
                    } else {
                        let decay = if places[0] == 0 { 0.03 * value } else { 0.0 };
                        let m = 0.7 * m + gradient + decay;
                        [value - 1e-3 * m, m, v]
                    };
                    let value = if places[0] == 3 && value.is_finite() {
                        value.clamp(-40.0, 20.0)
                    } else {
                        value
                    };
                    for (place, expected) in places.into_iter().zip([value, m, v]) {
                        let found = f64::from(new[place][at]);
                        let close = found == expected
                            || (found - expected).abs() <= 2e-5 * (expected.abs() + 1e-3);
                        assert!(close, "{prior:?} [{place}][{at}]: {found} {expected}");
                    }
                }
                let (theta, log_sigma2) = (new[0][at], new[3][at]);
                let kept = posterior::is_kept(theta, log_sigma2, 3.0);
                assert_eq!(new[6][at], if kept { theta } else { 0.0 });
                assert_eq!(
                    new[7][at],
                    if kept { math::exp_one(log_sigma2) } else { 0.0 }
                );
            }
        }
    }

    #[test]
    fn a_nan_in_log_sigma2_stays_one() {
        let mut weights = weights(20);
        weights[3][7] = f32::NAN;
        let rule = VariationalUpdate {
            prior: Prior::Hierarchical,
            kl_factor: 1e-2,
            descent: Optimizer::Adam.at(1e-3, 0),
            most_log_sigma2: posterior::LOG_SIGMA2_MAX,
            masking: MASKING,
        };
        update(&mut weights, [&[0.0; 20], &[0.0; 20]], rule);
        assert!(weights[3][7].is_nan());
    }
}
