//! Update of theta and `log_alpha` for the variance `alpha theta^2`.

use pulp::Simd;

use super::PRIOR;
use crate::kernels::math;
use crate::kernels::vector::{each_vector, kernel};
use crate::method::DataGradient;
use crate::method::variational::kernel::polynomial_slope;
use crate::optim::{self, Descent, Moments, Slices};
use crate::posterior::LOG_SIGMA2_MIN;

/// Entries with the mean and variance used in a step.
pub(super) struct Entries<'a> {
    pub(super) theta: Slices<'a>,
    pub(super) log_alpha: Slices<'a>,
    pub(super) mean: &'a mut [f32],
    pub(super) variance: &'a mut [f32],
}

kernel! {
    /// Updates theta and `log_alpha`, and computes mean and variance anew.
    pub(super) fn update_bounded<S>(
        simd,
        entries: Entries<'_>,
        data: DataGradient<'_>,
        kl_factor: f32,
        descent: Descent,
    ) {
        match descent {
            Descent::Adam(adam) => update_by(simd, entries, data, kl_factor, [adam; 2]),
            Descent::Sgd(sgd) => {
                let Descent::Sgd(plain) = descent.without_decay() else {
                    unreachable!("the same optimiser")
                };
                update_by(simd, entries, data, kl_factor, [sgd, plain]);
            }
        }
    }
}

#[inline(always)]
fn update_by<S: Simd, R: optim::UpdateRule>(
    simd: S,
    entries: Entries<'_>,
    data: DataGradient<'_>,
    kl_factor: f32,
    [of_theta, of_log_alpha]: [R; 2],
) {
    let [theta, theta_m, theta_v] = entries.theta;
    let [log_alpha, m, v] = entries.log_alpha;
    each_vector(
        simd,
        [
            theta,
            theta_m,
            theta_v,
            log_alpha,
            m,
            v,
            entries.mean,
            entries.variance,
        ],
        [data.theta, data.sigma2],
        #[inline(always)]
        |[theta, theta_m, theta_v, log_alpha, m, v, _, _], [by_mean, by_variance]| {
            let alpha = math::exp(log_alpha);
            let by_theta = ((theta + theta) * alpha).mul_add(by_variance, by_mean);
            // A weight that is 0 has no variance, and no KL.
            let is_zero = theta.equals(theta.like(0.0));
            let kl = theta.like(kl_factor) * polynomial_slope(alpha);
            let by_log_alpha = (alpha * theta * theta).mul_add(by_variance, is_zero.not().keep(kl));
            let old = Moments {
                value: theta,
                m: theta_m,
                v: theta_v,
            };
            let theta = of_theta.update(old, by_theta);
            let old = Moments {
                value: log_alpha,
                m,
                v,
            };
            let new = of_log_alpha.update(old, by_log_alpha);
            let log_alpha = new.value.clamp(LOG_SIGMA2_MIN, PRIOR.most_log_alpha());
            let variance = math::exp(log_alpha) * theta.value * theta.value;
            [
                theta.value,
                theta.m,
                theta.v,
                log_alpha,
                new.m,
                new.v,
                theta.value,
                variance,
            ]
        },
    );
}

kernel! {
    /// Computes mean and variance of entries: theta and `alpha theta^2`.
    pub(super) fn moments<S>(
        simd,
        mean: &mut [f32],
        variance: &mut [f32],
        theta: &[f32],
        log_alpha: &[f32],
    ) {
        each_vector(
            simd,
            [mean, variance],
            [theta, log_alpha],
            #[inline(always)]
            |_, [theta, log_alpha]| [theta, math::exp(log_alpha) * theta * theta],
        );
    }
}
