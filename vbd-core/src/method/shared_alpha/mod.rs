//! One alpha per row or weight, learned or fixed: `sigma2 = alpha theta^2` (Liu et al. 2019, eq. 5
//! and 17; Kingma et al. 2015, type B; fast dropout, Wang and Manning 2013). It prunes nothing.
//!
//! With `G1` and `G2` the gradients with respect to means and variances, the gradient of theta is
//! `G1 + 2 alpha theta G2`. That of `log_alpha` sums `alpha theta^2 G2` and the KL's slope over its
//! entries: the KL counts once per weight.

mod kernel;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result as CandleResult, Tensor};

use super::{
    CandleMethod, CpuMethod, DataGradient, EntryView, EntryViewMut, TensorMoments, Update,
    WeightMethod,
};
use crate::layers::Masking;
use crate::posterior::{LOG_SIGMA2_MAX, LOG_SIGMA2_MIN};
use crate::prior::Prior;
use crate::recipe::{Key, Range, Settings, Value};
use crate::weight::{Scope, State};

/// Scope of one alpha. The first choice is one per weight.
pub(super) const ALPHA: Key = Key {
    name: "alpha",
    default: Value::Word("weight"),
    from_trained: None,
    range: Range::Words(&["weight", "row", "layer"]),
    meaning: "scope of one alpha: a weight, an output neuron or channel, or the layer; a shared alpha prunes nothing",
};
/// Initial or fixed alpha.
pub(super) const RATE: Key = Key {
    name: "rate",
    default: Value::Number(0.5),
    from_trained: None,
    range: Range::RATE,
    meaning: "alpha = rate / (1 - rate), fixed or the initial value",
};
/// Whether alpha is learned.
pub(super) const LEARN: Key = Key {
    name: "learn",
    default: Value::Flag(true),
    from_trained: None,
    range: Range::Flag,
    meaning: "whether a shared alpha is learned",
};

/// Number of entries processed at once.
const AT_ONCE: usize = 128;

/// A posterior with one alpha per row or weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SharedAlpha {
    prior: Option<Prior>,
    by_row: bool,
    /// Initial or fixed `log_alpha`.
    log_alpha: f32,
    is_learned: bool,
}

impl SharedAlpha {
    /// Builds the method from settings with a `rate`.
    #[expect(clippy::cast_possible_truncation, reason = "trained in f32")]
    pub(super) fn of(settings: &Settings<'_>, prior: Option<Prior>, is_learned: bool) -> Self {
        let rate = settings.number("rate");
        let first = Self {
            prior,
            by_row: settings.word("alpha") == "row",
            log_alpha: (rate / (1.0 - rate)).ln() as f32,
            is_learned,
        };
        Self {
            log_alpha: first.clamped(first.log_alpha),
            ..first
        }
    }

    /// Returns the range of `log_alpha`.
    fn range(self) -> [f32; 2] {
        let most = self.prior.map_or(LOG_SIGMA2_MAX, Prior::most_log_alpha);
        [LOG_SIGMA2_MIN, most]
    }

    fn clamped(self, log_alpha: f32) -> f32 {
        let [least, most] = self.range();
        log_alpha.clamp(least, most)
    }

    /// Returns the scope of one alpha.
    fn scope(self) -> Scope {
        if self.by_row {
            Scope::Row
        } else {
            Scope::Tensor(1)
        }
    }

    /// Returns the group of an entry; `None` for padding.
    fn group(self, entries: &EntryView<'_>, index: usize) -> Option<usize> {
        if self.by_row {
            entries.row(index)
        } else {
            entries.place(index).map(|_| 0)
        }
    }

    /// Returns `log_alpha` of each group.
    fn log_alphas<'a>(&'a self, shared: &'a [State]) -> &'a [f32] {
        match shared.first() {
            Some(state) => &state.parameter.value,
            None => std::slice::from_ref(&self.log_alpha),
        }
    }

    fn alphas(self, shared: &[State]) -> Vec<f32> {
        let log_alphas = self.log_alphas(shared);
        log_alphas.iter().map(|log_alpha| log_alpha.exp()).collect()
    }

    /// Writes the alpha of each entry from `first` on.
    fn expand(self, entries: &EntryView<'_>, first: usize, alphas: &[f32], out: &mut [f32]) {
        if let [alpha] = alphas {
            out.fill(*alpha);
            return;
        }
        for (index, out) in out.iter_mut().enumerate() {
            *out = self
                .group(entries, first + index)
                .map_or(0.0, |group| alphas[group]);
        }
    }
}

impl WeightMethod for SharedAlpha {
    fn states(&self, shape: &[usize]) -> Vec<State> {
        let scope = self.scope();
        let first = vec![self.log_alpha; scope.len(shape)];
        let state = self
            .is_learned
            .then(|| State::new("log_alpha", scope, first));
        state.into_iter().collect()
    }

    fn log_alpha(&self, entries: EntryView<'_>) -> Option<Vec<f64>> {
        let log_alphas = self.log_alphas(entries.shared);
        let of = |index| match log_alphas {
            [log_alpha] => *log_alpha,
            _ => self
                .group(&entries, index)
                .map_or(self.log_alpha, |group| log_alphas[group]),
        };
        let indices = 0..entries.theta.len();
        Some(indices.map(|index| f64::from(of(index))).collect())
    }
}

impl CpuMethod for SharedAlpha {
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
        let alphas = self.alphas(entries.shared);
        let mut alpha = [0.0; AT_ONCE];
        for first in (0..mean.len()).step_by(AT_ONCE) {
            let at = first..mean.len().min(first + AT_ONCE);
            let alpha = &mut alpha[..at.len()];
            self.expand(&entries, first, &alphas, alpha);
            let theta = &entries.theta[at.clone()];
            kernel::moments(&mut mean[at.clone()], &mut variance[at], theta, alpha);
        }
    }

    fn penalty(&self, entries: EntryView<'_>) -> f64 {
        let Some(prior) = self.prior else {
            return 0.0;
        };
        let log_alphas = self.log_alphas(entries.shared);
        let kls = log_alphas.iter().map(|&l| prior.kl(f64::from(l)));
        let kls: Vec<f64> = kls.collect();
        let alive = (0..entries.theta.len()).filter(|&index| entries.theta[index] != 0.0);
        let groups = alive.filter_map(|index| self.group(&entries, index));
        groups.map(|group| kls[group.min(kls.len() - 1)]).sum()
    }

    fn sums(&self, shape: &[usize]) -> usize {
        if self.is_learned {
            2 * self.scope().len(shape)
        } else {
            0
        }
    }

    fn gather(
        &self,
        entries: EntryView<'_>,
        data: DataGradient<'_>,
        variance: &[f32],
        sums: &mut [f64],
    ) {
        let (gradients, counts) = sums.split_at_mut(sums.len() / 2);
        for (index, (&variance, &by_variance)) in variance.iter().zip(data.sigma2).enumerate() {
            // A weight that is 0 has no variance, and no KL.
            if entries.theta[index] == 0.0 {
                continue;
            }
            if let Some(group) = self.group(&entries, index) {
                gradients[group] += f64::from(variance) * f64::from(by_variance);
                counts[group] += 1.0;
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "summed in f64, used in f32"
    )]
    fn share(&self, sums: &[f64], shared: &mut [State], update: &Update) -> Vec<f32> {
        let of_step = self.alphas(shared);
        let log_alpha = &mut shared[0].parameter;
        let (gradients, counts) = sums.split_at(sums.len() / 2);
        let slope = |log_alpha: f32| {
            let slope = self.prior.map_or(0.0, |p| p.slope(f64::from(log_alpha)));
            f64::from(update.kl_factor) * slope
        };
        let groups = gradients.iter().zip(counts).zip(&log_alpha.value);
        let gradient = groups.map(|((by, count), &l)| (by + count * slope(l)) as f32);
        let gradient: Vec<f32> = gradient.collect();
        let all = 0..gradient.len();
        let descent = update.descent.without_decay();
        descent.step(log_alpha.slices_mut(all), &gradient);
        for log_alpha in &mut log_alpha.value {
            *log_alpha = self.clamped(*log_alpha);
        }
        of_step
    }

    fn update(
        &self,
        entries: EntryViewMut<'_>,
        data: DataGradient<'_>,
        of_step: &[f32],
        update: &Update,
    ) {
        let after = self.alphas(entries.shared);
        let of_step = if self.is_learned { of_step } else { &after };
        let EntryViewMut {
            shape,
            places,
            rows,
            range,
            theta,
            own,
            shared,
            mean,
            variance,
        } = entries;
        let groups = EntryView {
            shape,
            places: Some(places),
            rows,
            theta: &[],
            range: range.clone(),
            own,
            shared,
        };
        let mut alphas = [[0.0; AT_ONCE]; 2];
        for first in (0..mean.len()).step_by(AT_ONCE) {
            let at = first..mean.len().min(first + AT_ONCE);
            let [old, new] = alphas.each_mut().map(|alphas| &mut alphas[..at.len()]);
            self.expand(&groups, first, of_step, old);
            self.expand(&groups, first, &after, new);
            let entries = kernel::Entries {
                theta: theta.slices_mut(range.start + at.start..range.start + at.end),
                mean: &mut mean[at.clone()],
                variance: &mut variance[at.clone()],
            };
            let data = DataGradient {
                theta: &data.theta[at.clone()],
                sigma2: &data.sigma2[at],
            };
            let alphas = kernel::Alphas {
                of_step: old,
                after: new,
            };
            kernel::update_scaled(entries, data, alphas, update.descent);
        }
    }
}

impl SharedAlpha {
    /// Returns `log_alpha`, `[out, 1, ...]` or `[1, ...]`.
    fn tensor_log_alpha(self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Tensor> {
        let mut shape = vec![1; theta.rank()];
        let Some(log_alpha) = states.first() else {
            return Tensor::full(self.log_alpha, shape, theta.device());
        };
        shape[0] = log_alpha.elem_count();
        log_alpha.reshape(shape)
    }
}

impl CandleMethod for SharedAlpha {
    fn tensor_moments(
        &self,
        theta: &Tensor,
        states: &[Tensor],
        _masking: Masking,
    ) -> CandleResult<TensorMoments> {
        let alpha = self.tensor_log_alpha(theta, states)?.exp()?;
        Ok(TensorMoments {
            mean: theta.clone(),
            variance: Some(theta.sqr()?.broadcast_mul(&alpha)?),
            alive_rows: None,
        })
    }

    fn tensor_kept(&self, theta: &Tensor, _states: &[Tensor]) -> CandleResult<Tensor> {
        Ok(theta.clone())
    }

    fn tensor_penalty(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        let Some(prior) = self.prior else {
            return Ok(None);
        };
        let kl = prior.kl_of(&self.tensor_log_alpha(theta, states)?)?;
        let alive = theta.ne(0.0)?.to_dtype(DType::F32)?;
        alive.broadcast_mul(&kl)?.sum_all().map(Some)
    }

    fn tensor_finish(&self, _state: usize, _old: &Tensor, new: Tensor) -> CandleResult<Tensor> {
        let [least, most] = self.range();
        new.clamp(least, most)
    }
}
