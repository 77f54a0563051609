//! One alpha up to 1 per weight: `sigma2 = alpha theta^2` with `log_alpha <= 0` (Kingma et al. 2015, type B), and
//! their polynomial KL. It prunes nothing.
//!
//! With `G1` and `G2` the gradients with respect to means and variances, the gradient of theta is
//! `G1 + 2 alpha theta G2`, that of `log_alpha` is `alpha theta^2 G2` and the KL's slope.

mod kernel;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result as CandleResult, Tensor};

use super::{
    CandleMethod, CpuMethod, DataGradient, EntryView, EntryViewMut, TensorMoments, Update,
    WeightMethod,
};
use crate::layers::Masking;
use crate::posterior::LOG_SIGMA2_MIN;
use crate::prior::Prior;
use crate::recipe::Settings;
use crate::weight::{Scope, State};

const PRIOR: Prior = Prior::Polynomial;

/// A posterior with an alpha up to 1 per weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BoundedAlpha {
    /// Initial `log_alpha`.
    log_alpha: f32,
}

impl BoundedAlpha {
    /// Builds the method from settings with a `rate`.
    #[expect(clippy::cast_possible_truncation, reason = "trained in f32")]
    pub(super) fn of(settings: &Settings<'_>) -> Self {
        let rate = settings.number("rate");
        let log_alpha = (rate / (1.0 - rate)).ln() as f32;
        Self {
            log_alpha: log_alpha.clamp(LOG_SIGMA2_MIN, PRIOR.most_log_alpha()),
        }
    }
}

impl WeightMethod for BoundedAlpha {
    fn states(&self, shape: &[usize]) -> Vec<State> {
        let first = vec![self.log_alpha; Scope::Entry.len(shape)];
        vec![State::new("log_alpha", Scope::Entry, first)]
    }

    fn log_alpha(&self, entries: EntryView<'_>) -> Option<Vec<f64>> {
        Some(entries.own(0).iter().map(|&l| f64::from(l)).collect())
    }
}

impl CpuMethod for BoundedAlpha {
    fn is_sampled(&self) -> bool {
        true
    }

    fn moments(
        &self,
        entries: EntryView<'_>,
        _active: bool,
        mean: &mut [f32],
        variance: &mut [f32],
    ) {
        kernel::moments(mean, variance, entries.theta, entries.own(0));
    }

    fn penalty(&self, entries: EntryView<'_>) -> f64 {
        let pairs = entries.theta.iter().zip(entries.own(0));
        let alive = pairs.filter(|(theta, _)| **theta != 0.0);
        alive.map(|(_, &l)| PRIOR.kl(f64::from(l))).sum()
    }

    fn update(
        &self,
        entries: EntryViewMut<'_>,
        data: DataGradient<'_>,
        _of_step: &[f32],
        update: &Update,
    ) {
        let EntryViewMut {
            range,
            theta,
            own,
            mean,
            variance,
            ..
        } = entries;
        let entries = kernel::Entries {
            theta: theta.slices_mut(range.clone()),
            log_alpha: own[0].parameter.slices_mut(range),
            mean,
            variance,
        };
        kernel::update_bounded(entries, data, update.kl_factor, update.descent);
    }
}

impl CandleMethod for BoundedAlpha {
    fn tensor_moments(
        &self,
        theta: &Tensor,
        states: &[Tensor],
        _masking: Masking,
    ) -> CandleResult<TensorMoments> {
        Ok(TensorMoments {
            mean: theta.clone(),
            variance: Some((theta.sqr()? * states[0].exp()?)?),
            alive_rows: None,
        })
    }

    fn tensor_kept(&self, theta: &Tensor, _states: &[Tensor]) -> CandleResult<Tensor> {
        Ok(theta.clone())
    }

    fn tensor_penalty(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        let alive = theta.ne(0.0)?.to_dtype(DType::F32)?;
        let kl = PRIOR.kl_of(&states[0])?;
        (alive * kl)?.sum_all().map(Some)
    }

    fn tensor_finish(&self, _state: usize, _old: &Tensor, new: Tensor) -> CandleResult<Tensor> {
        new.clamp(LOG_SIGMA2_MIN, PRIOR.most_log_alpha())
    }
}
