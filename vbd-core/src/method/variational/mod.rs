//! A posterior `N(theta, sigma2)` for each entry, trained as theta and `log_sigma2` (additive
//! reparameterisation). Entries with `log_alpha` at or above a threshold are pruned.

pub(crate) mod kernel;

use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};

use self::kernel::{DropMask, Posteriors, VariationalUpdate};
use super::{
    CandleMethod, CpuMethod, DataGradient, EntryView, EntryViewMut, TensorMoments, Update,
    WeightMethod,
};
use crate::layers::{Masking, alive_rows, moments};
use crate::posterior::{self, LOG_SIGMA2_DEAD, LOG_SIGMA2_MIN, keep_mask, masked};
use crate::prior::Prior;
use crate::recipe::{Key, Range, Settings, Value};
use crate::weight::{Scope, State};

/// Keys of a posterior per entry.
pub(super) const LOG_ALPHA_THRESHOLD: Key = Key {
    name: "log_alpha_threshold",
    default: Value::Number(3.0),
    from_trained: None,
    range: Range::FINITE,
    meaning: "weights with log_alpha at or above this are pruned",
};
pub(super) const LOG_SIGMA2_INIT: Key = Key {
    name: "log_sigma2_init",
    default: Value::Number(-10.0),
    from_trained: Some(-8.0),
    range: Range::Number {
        least: -40.0,
        most: 20.0,
        words: "-40 to 20",
    },
    meaning: "initial log_sigma2; with `--from` the default is -8",
};

/// A posterior for each entry, and its prior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variational {
    /// The prior of each entry. [`Prior::Polynomial`] is for gates alone, whose theta is 1.
    pub prior: Prior,
    /// Entries with `log_alpha` at or above this are pruned.
    pub log_alpha_threshold: f32,
    /// Initial `log_sigma2`.
    pub log_sigma2_init: f32,
}

/// Returns variational Bayesian dropout with this threshold, for checkpoints built by a caller.
pub fn vbd(log_alpha_threshold: f32) -> Arc<dyn WeightMethod> {
    Arc::new(Variational {
        prior: Prior::Hierarchical,
        log_alpha_threshold,
        log_sigma2_init: -10.0,
    })
}

impl Variational {
    /// Returns a posterior with this initial log variance that prunes nothing.
    pub(crate) fn never_pruned(prior: Prior, log_sigma2_init: f32) -> Self {
        Self {
            prior,
            log_alpha_threshold: f32::INFINITY,
            log_sigma2_init,
        }
    }

    pub(super) fn of(settings: &Settings<'_>, prior: Prior) -> Self {
        Self {
            prior,
            log_alpha_threshold: settings.f32("log_alpha_threshold"),
            log_sigma2_init: settings.f32("log_sigma2_init"),
        }
    }

    fn masking(&self, active: bool) -> DropMask {
        DropMask {
            log_alpha_threshold: self.log_alpha_threshold,
            active,
        }
    }
}

impl WeightMethod for Variational {
    fn states(&self, shape: &[usize]) -> Vec<State> {
        let len = Scope::Entry.len(shape);
        let first = crate::weight::Parameter::new(vec![self.log_sigma2_init; len]);
        vec![posterior::state(first)]
    }

    fn kept(&self, entries: EntryView<'_>) -> Vec<bool> {
        let posteriors = entries.theta.iter().zip(entries.own(0));
        let is_kept = |(&theta, &log_sigma2): (&f32, &f32)| {
            posterior::is_kept(theta, log_sigma2, self.log_alpha_threshold)
        };
        posteriors.map(is_kept).collect()
    }

    fn kills(&self) -> bool {
        true
    }

    fn log_alpha_threshold(&self) -> Option<f32> {
        Some(self.log_alpha_threshold)
    }

    fn with_threshold(&self, log_alpha_threshold: f32) -> Option<Arc<dyn WeightMethod>> {
        Some(Arc::new(Self {
            log_alpha_threshold,
            ..*self
        }))
    }

    fn log_alpha(&self, entries: EntryView<'_>) -> Option<Vec<f64>> {
        let posteriors = entries.theta.iter().zip(entries.own(0));
        let log_alpha = posteriors.map(|(&theta, &l)| posterior::log_alpha(theta, l));
        Some(log_alpha.collect())
    }
}

impl CpuMethod for Variational {
    fn is_sampled(&self) -> bool {
        true
    }

    fn moments(
        &self,
        entries: EntryView<'_>,
        active: bool,
        mean: &mut [f32],
        variance: &mut [f32],
    ) {
        let (theta, log_sigma2) = (entries.theta, entries.own(0));
        kernel::mask(mean, variance, theta, log_sigma2, self.masking(active));
    }

    fn penalty(&self, entries: EntryView<'_>) -> f64 {
        kernel::kl_sum(entries.theta, entries.own(0), self.prior)
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
        let posteriors = Posteriors {
            theta: theta.slices_mut(range.clone()),
            log_sigma2: own[0].parameter.slices_mut(range),
            mean,
            variance,
        };
        let rule = VariationalUpdate {
            prior: self.prior,
            kl_factor: update.kl_factor,
            descent: update.descent,
            most_log_sigma2: self.prior.most_log_alpha(),
            masking: self.masking(update.active),
        };
        kernel::update_variational(posteriors, data, rule);
    }
}

impl CandleMethod for Variational {
    fn tensor_moments(
        &self,
        theta: &Tensor,
        states: &[Tensor],
        masking: Masking,
    ) -> CandleResult<TensorMoments> {
        let log_sigma2 = &states[0];
        let threshold = f64::from(self.log_alpha_threshold);
        let (mean, sigma2) = moments((theta, log_sigma2), threshold, masking)?;
        Ok(TensorMoments {
            mean,
            variance: Some(sigma2),
            alive_rows: Some(alive_rows(log_sigma2)?),
        })
    }

    fn tensor_kept(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Tensor> {
        let mask = keep_mask(theta, &states[0], f64::from(self.log_alpha_threshold))?;
        masked(&mask, theta)
    }

    fn tensor_penalty(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        self.prior.kl_sum(theta, &states[0]).map(Some)
    }

    fn tensor_finish(&self, _state: usize, old: &Tensor, new: Tensor) -> CandleResult<Tensor> {
        let alive = old.lt(f64::from(LOG_SIGMA2_DEAD))?;
        let most = self.prior.most_log_alpha();
        alive.where_cond(&new.clamp(LOG_SIGMA2_MIN, most)?, old)
    }
}
