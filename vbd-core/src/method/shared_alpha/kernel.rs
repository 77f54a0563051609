//! Update of theta for the variance `alpha theta^2`.

use pulp::Simd;

use crate::kernels::vector::{each_vector, kernel};
use crate::method::DataGradient;
use crate::optim::{self, Descent, Moments, Slices};

/// Entries with the mean and variance used in a step.
pub(super) struct Entries<'a> {
    pub(super) theta: Slices<'a>,
    pub(super) mean: &'a mut [f32],
    pub(super) variance: &'a mut [f32],
}

/// Alpha of each entry before and after the step.
#[derive(Clone, Copy)]
pub(super) struct Alphas<'a> {
    pub(super) of_step: &'a [f32],
    pub(super) after: &'a [f32],
}

kernel! {
    /// Updates theta by the gradient `g_mean + 2 alpha theta g_variance`, and computes mean and
    /// variance anew.
    pub(super) fn update_scaled<S>(
        simd,
        entries: Entries<'_>,
        data: DataGradient<'_>,
        alphas: Alphas<'_>,
        descent: Descent,
    ) {
        match descent {
            Descent::Adam(adam) => update_by(simd, entries, data, alphas, adam),
            Descent::Sgd(sgd) => update_by(simd, entries, data, alphas, sgd),
        }
    }
}

#[inline(always)]
fn update_by<S: Simd>(
    simd: S,
    entries: Entries<'_>,
    data: DataGradient<'_>,
    alphas: Alphas<'_>,
    by: impl optim::UpdateRule,
) {
    let [theta, m, v] = entries.theta;
    each_vector(
        simd,
        [theta, m, v, entries.mean, entries.variance],
        [data.theta, data.sigma2, alphas.of_step, alphas.after],
        #[inline(always)]
        |[theta, m, v, _, _], [by_mean, by_variance, of_step, after]| {
            let gradient = ((theta + theta) * of_step).mul_add(by_variance, by_mean);
            let old = Moments { value: theta, m, v };
            let new = by.update(old, gradient);
            let variance = after * new.value * new.value;
            [new.value, new.m, new.v, new.value, variance]
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
        alpha: &[f32],
    ) {
        each_vector(
            simd,
            [mean, variance],
            [theta, alpha],
            #[inline(always)]
            |_, [theta, alpha]| [theta, alpha * theta * theta],
        );
    }
}
