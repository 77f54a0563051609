//! Common parts of `vbd` and `vd`: one alpha per weight, or a shared one.

use std::sync::Arc;

use super::WeightMethod;
use super::shared_alpha::{ALPHA, LEARN, RATE, SharedAlpha};
use super::variational::{LOG_ALPHA_THRESHOLD, LOG_SIGMA2_INIT, Variational};
use crate::prior::Prior;
use crate::recipe::{Key, Settings};

/// Keys of a method with posteriors.
pub(super) const KEYS: &[Key] = &[ALPHA, LOG_ALPHA_THRESHOLD, LOG_SIGMA2_INIT, RATE, LEARN];

/// Returns whether a key has an effect with the given `alpha`.
pub(super) fn applies(settings: &Settings<'_>, key: &str) -> bool {
    let is_shared = settings.word("alpha") != "weight";
    match key {
        "rate" | "learn" => is_shared,
        "log_alpha_threshold" | "log_sigma2_init" => !is_shared,
        _ => true,
    }
}

/// Builds the method from settings and prior.
pub(super) fn build(settings: &Settings<'_>, prior: Prior) -> Arc<dyn WeightMethod> {
    if settings.word("alpha") == "weight" {
        return Arc::new(Variational::of(settings, prior));
    }
    let is_learned = settings.flag("learn");
    Arc::new(SharedAlpha::of(settings, Some(prior), is_learned))
}
