//! What `vbd` and `vd` share: an alpha for each weight, or one for many.

use std::sync::Arc;

use super::WeightMethod;
use super::shared_alpha::{ALPHA, LEARN, RATE, SharedAlpha};
use super::variational::{LOG_ALPHA_THRESHOLD, LOG_SIGMA2_INIT, Variational};
use crate::prior::Prior;
use crate::recipe::{Key, Settings};

/// The keys of a method with posteriors.
pub(super) const KEYS: &[Key] = &[ALPHA, LOG_ALPHA_THRESHOLD, LOG_SIGMA2_INIT, RATE, LEARN];

/// Whether a key means something beside what `alpha` says.
pub(super) fn applies(settings: &Settings<'_>, key: &str) -> bool {
    let is_shared = settings.word("alpha") != "weight";
    match key {
        "rate" | "learn" => is_shared,
        "log_alpha_threshold" | "log_sigma2_init" => !is_shared,
        _ => true,
    }
}

/// The method of settings, with a prior.
pub(super) fn build(settings: &Settings<'_>, prior: Prior) -> Arc<dyn WeightMethod> {
    if settings.word("alpha") == "weight" {
        return Arc::new(Variational::of(settings, prior));
    }
    let is_learnt = settings.flag("learn");
    Arc::new(SharedAlpha::of(settings, Some(prior), is_learnt))
}
