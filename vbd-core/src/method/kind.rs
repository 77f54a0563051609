//! The table of the kinds of method.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{WeightMethod, dense, fast, vbd, vd};
use crate::recipe::{Key, Settings};

/// What a kind of method is: its keys in a recipe, and how it is made of them.
pub(crate) struct Definition {
    /// Keys beside `theta_init` and `kl_weight`.
    pub(crate) keys: &'static [Key],
    /// Whether a key that is given means something beside the others.
    pub(crate) applies: fn(&Settings<'_>, &str) -> bool,
    /// Makes the method of checked settings.
    pub(crate) build: fn(&Settings<'_>) -> Arc<dyn WeightMethod>,
}

/// The kinds of method.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// Variational Bayesian dropout of weights: the hierarchical prior.
    Vbd,
    /// Sparse variational dropout of weights: the log-uniform prior.
    Vd,
    /// Fast dropout: an alpha that is fixed.
    Fast,
    /// Plain weights; with gates, neurons alone are pruned.
    Dense,
}

impl MethodKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Vbd, Self::Vd, Self::Fast, Self::Dense];

    /// The kind's word in a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vbd => "vbd",
            Self::Vd => "vd",
            Self::Fast => "fast",
            Self::Dense => "dense",
        }
    }

    /// The keys that a recipe may have for the kind, beside those of every kind.
    pub fn keys(self) -> &'static [Key] {
        self.definition().keys
    }

    /// Whether weights of the kind have a KL.
    pub(crate) fn has_kl(self) -> bool {
        matches!(self, Self::Vbd | Self::Vd)
    }

    pub(crate) fn definition(self) -> Definition {
        match self {
            Self::Vbd => vbd::DEFINITION,
            Self::Vd => vd::DEFINITION,
            Self::Fast => fast::DEFINITION,
            Self::Dense => dense::DEFINITION,
        }
    }
}
