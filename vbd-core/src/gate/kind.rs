//! The table of gate kinds.

use serde::{Deserialize, Serialize};

use super::{GateNoise, bernoulli, gaussian, normal};
use crate::recipe::{Key, Settings};

/// Definition of a kind of gate: its keys and how to build it.
pub(crate) struct Definition {
    /// Keys beside `after` and `kind`.
    pub(crate) keys: &'static [Key],
    /// Returns whether a given key has an effect together with the others.
    pub(crate) applies: fn(&Settings<'_>, &str) -> bool,
    /// Builds the noise from checked settings.
    pub(crate) build: fn(&Settings<'_>) -> Box<dyn GateNoise>,
}

/// Kind of a gate.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// A posterior for each unit's factor, `theta + sigma eps` (Liu et al. 2019, eq. 19).
    #[default]
    Normal,
    /// Dropout: a unit is 0 with probability `rate`, else divided by `1 - rate`.
    Bernoulli,
    /// The factor `1 + sqrt(alpha) eps` with alpha fixed or learned.
    Gaussian,
}

impl GateKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Bernoulli, Self::Gaussian];

    /// Returns the kind's name in a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Bernoulli => "bernoulli",
            Self::Gaussian => "gaussian",
        }
    }

    /// Returns the keys of the kind besides `after` and `kind`.
    pub fn keys(self) -> &'static [Key] {
        self.definition().keys
    }

    pub(crate) fn definition(self) -> Definition {
        match self {
            Self::Normal => normal::DEFINITION,
            Self::Bernoulli => bernoulli::DEFINITION,
            Self::Gaussian => gaussian::DEFINITION,
        }
    }
}
