//! The table of method kinds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{WeightMethod, dense, fast, vbd, vd};
use crate::recipe::{Key, Settings};

/// Definition of a kind of method: its keys and how to build it.
pub(crate) struct Definition {
    /// Keys beside `theta_init` and `kl_weight`.
    pub(crate) keys: &'static [Key],
    /// Returns whether a given key has an effect together with the others.
    pub(crate) applies: fn(&Settings<'_>, &str) -> bool,
    /// Builds the method from checked settings.
    pub(crate) build: fn(&Settings<'_>) -> Arc<dyn WeightMethod>,
}

/// Kind of a method on weights.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// Variational Bayesian dropout of weights, with the hierarchical prior.
    Vbd,
    /// Sparse variational dropout of weights, with the log-uniform prior.
    Vd,
    /// Fast dropout, with a fixed alpha.
    Fast,
    /// Plain weights; with gates, only neurons are pruned.
    Dense,
}

impl MethodKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Vbd, Self::Vd, Self::Fast, Self::Dense];

    /// Returns the kind's name in a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vbd => "vbd",
            Self::Vd => "vd",
            Self::Fast => "fast",
            Self::Dense => "dense",
        }
    }

    /// Returns the keys of the kind besides those of every kind.
    pub fn keys(self) -> &'static [Key] {
        self.definition().keys
    }

    /// Returns whether weights of this kind have a KL.
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
