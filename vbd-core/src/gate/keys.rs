//! Keys shared by several kinds of gate.

use crate::method;
use crate::prior::Prior;
use crate::recipe::{Key, Range, Settings, Value};

/// Prior of each unit's factor.
pub(super) const PRIOR: Key = Key {
    name: "prior",
    default: Value::Word("hierarchical"),
    from_trained: None,
    range: Range::Words(&["hierarchical", "log-uniform"]),
    meaning: "prior of each unit's factor",
};

/// Factor on the KL of the units.
pub(super) const KL_WEIGHT: Key = Key {
    name: "kl_weight",
    default: Value::Number(1.0),
    from_trained: None,
    range: Range::KL_WEIGHT,
    meaning: "factor on the gate's KL, multiplied by the method's",
};

/// Amount of noise.
pub(super) const RATE: Key = Key {
    name: "rate",
    default: Value::Number(0.5),
    from_trained: None,
    range: Range::RATE,
    meaning: "fraction of units dropped",
};

/// Approximation of the log-uniform prior's KL.
pub(super) const KL: Key = Key {
    meaning: "approximation of the log-uniform prior's KL, as of `vd`; `polynomial` keeps alpha at 1 or less",
    ..method::KL
};

/// Returns the prior named by settings.
pub(super) fn prior(settings: &Settings<'_>) -> Prior {
    match (settings.word("prior"), settings.word("kl")) {
        ("log-uniform", "polynomial") => Prior::Polynomial,
        ("log-uniform", _) => Prior::LogUniform,
        _ => Prior::Hierarchical,
    }
}
