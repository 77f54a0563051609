//! Variational dropout with the log-uniform prior (Kingma et al. 2015; sparse with one alpha per
//! weight, Molchanov et al. 2017).

use std::sync::Arc;

use super::Definition;
use super::bounded_alpha::BoundedAlpha;
use super::posterior::{KEYS, applies, build};
use super::shared_alpha::{ALPHA, LEARN, RATE};
use super::variational::{LOG_ALPHA_THRESHOLD, LOG_SIGMA2_INIT};
use crate::prior::Prior;
use crate::recipe::{Key, Range, Value};

/// Approximation of the KL.
pub(crate) const KL: Key = Key {
    name: "kl",
    default: Value::Word("sigmoid"),
    from_trained: None,
    range: Range::Words(&["sigmoid", "polynomial"]),
    meaning: "approximation of the KL: Molchanov et al. 2017, or Kingma et al. 2015, which keeps alpha at 1 or less and prunes nothing",
};

pub(super) const DEFINITION: Definition = Definition {
    keys: &[ALPHA, KL, LOG_ALPHA_THRESHOLD, LOG_SIGMA2_INIT, RATE, LEARN],
    applies: |settings, key| match (settings.word("kl"), key) {
        (_, "kl") | ("polynomial", "rate") => true,
        ("polynomial", "log_alpha_threshold" | "log_sigma2_init") => false,
        _ => applies(settings, key),
    },
    build: |settings| match (settings.word("kl"), settings.word("alpha")) {
        ("polynomial", "weight") => Arc::new(BoundedAlpha::of(settings)),
        ("polynomial", _) => build(settings, Prior::Polynomial),
        _ => build(settings, Prior::LogUniform),
    },
};

const _: () = assert!(
    DEFINITION.keys.len() == KEYS.len() + 1,
    "those of vbd, and `kl`"
);
