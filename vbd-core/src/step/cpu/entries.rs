//! Some entries of a weight in the order that a form computes with, wherever they lie in the weight.

use std::ops::Range;

use crate::kernels::update::{self, DataGradient, Masking, Posteriors, Rule};
use crate::optim::Descent;
use crate::posterior::LOG_SIGMA2_DEAD;
use crate::prior::Prior;
use crate::weight::{Parameter, VariationalWeight};

/// The place of an entry that only fills a vector: dead from the start.
pub(super) const NOWHERE: u32 = u32::MAX;

/// What an update of some entries needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Update {
    pub(super) prior: Option<Prior>,
    pub(super) kl_factor: f32,
    pub(super) descent: Descent,
    pub(super) masking: Masking,
}

/// What all updates of a step have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpdateStep {
    pub(super) kl_factor: f32,
    pub(super) descent: Descent,
    /// Whether what is over its threshold is masked.
    pub(super) active: bool,
}

impl UpdateStep {
    /// The update of what has this prior and threshold, and a further factor on its KL.
    #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
    pub(super) fn of(
        self,
        prior: Option<Prior>,
        log_alpha_threshold: f32,
        kl_weight: f64,
    ) -> Update {
        Update {
            prior,
            kl_factor: self.kl_factor * kl_weight as f32,
            descent: self.descent,
            masking: Masking {
                log_alpha_threshold,
                active: self.active,
            },
        }
    }
}

/// Entries with their moments, and the mean and variance that a step computes with: theta and sigma2
/// where an entry takes part, else 0.
pub(super) struct Entries {
    /// Flat row-major place of each entry in its weight.
    places: Vec<u32>,
    theta: Parameter,
    log_sigma2: Option<Parameter>,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

impl Entries {
    /// Takes the entries at `places` from a weight in its dense form.
    pub(super) fn gather(weight: &VariationalWeight, places: Vec<u32>) -> Self {
        let theta = weight.theta().gather(&places, 0.0);
        let log_sigma2 = weight
            .log_sigma2()
            .map(|p| p.gather(&places, LOG_SIGMA2_DEAD));
        let variance = vec![
            0.0;
            if log_sigma2.is_some() {
                places.len()
            } else {
                0
            }
        ];
        Self {
            mean: theta.value.clone(),
            variance,
            places,
            theta,
            log_sigma2,
        }
    }

    /// Puts the entries back into dense parameters.
    pub(super) fn scatter(&self, theta: &mut Parameter, log_sigma2: Option<&mut Parameter>) {
        theta.scatter(&self.places, &self.theta);
        if let (Some(to), Some(from)) = (log_sigma2, &self.log_sigma2) {
            to.scatter(&self.places, from);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the entries have a posterior.
    pub(super) fn is_variational(&self) -> bool {
        self.log_sigma2.is_some()
    }

    /// Works out the means and variances that a step computes with.
    pub(super) fn mask(&mut self, masking: Masking) {
        if let Some(log_sigma2) = &self.log_sigma2 {
            let (mean, variance) = (&mut self.mean, &mut self.variance);
            update::mask(
                mean,
                variance,
                &self.theta.value,
                &log_sigma2.value,
                masking,
            );
        }
    }

    /// Updates the entries at `range` by their gradients, and the means and variances with them.
    pub(super) fn update(&mut self, range: Range<usize>, data: DataGradient<'_>, update: Update) {
        let mean = &mut self.mean[range.clone()];
        let (Some(log_sigma2), Some(prior)) = (&mut self.log_sigma2, update.prior) else {
            update::update_plain(
                self.theta.slices_mut(range.clone()),
                data.theta,
                update.descent,
            );
            mean.copy_from_slice(&self.theta.value[range]);
            return;
        };
        let posteriors = Posteriors {
            theta: self.theta.slices_mut(range.clone()),
            log_sigma2: log_sigma2.slices_mut(range.clone()),
            mean,
            variance: &mut self.variance[range],
        };
        let rule = Rule {
            prior,
            kl_factor: update.kl_factor,
            descent: update.descent,
            masking: update.masking,
        };
        update::update_variational(posteriors, data, rule);
    }

    /// Sets every theta, which is not learnt.
    pub(super) fn set_theta(&mut self, value: f32) {
        self.theta = Parameter::new(vec![value; self.theta.value.len()]);
        self.mean.fill(value);
    }

    /// The sum of the KL over the live entries.
    pub(super) fn kl(&self, prior: Prior) -> f64 {
        self.log_sigma2.as_ref().map_or(0.0, |log_sigma2| {
            update::kl_sum(&self.theta.value, &log_sigma2.value, prior)
        })
    }
}
