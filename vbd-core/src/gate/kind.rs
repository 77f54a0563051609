//! The table of the kinds of gate.

use serde::{Deserialize, Serialize};

use super::{GateNoise, bernoulli, gaussian, normal};
use crate::recipe::{Key, Settings};

/// What a kind of gate is: its keys in a recipe, and how it is made of them.
pub(crate) struct Definition {
    /// Keys beside `after` and `kind`.
    pub(crate) keys: &'static [Key],
    /// Whether a key that is given means something beside the others.
    pub(crate) applies: fn(&Settings<'_>, &str) -> bool,
    /// Makes the noise of checked settings.
    pub(crate) build: fn(&Settings<'_>) -> Box<dyn GateNoise>,
}

/// The kinds of gate.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// A posterior for each unit's factor, `theta + sigma eps` (Liu et al. 2019, eq. 19).
    #[default]
    Normal,
    /// Dropout: a unit is 0 with probability `rate`, else divided by what is left.
    Bernoulli,
    /// A factor `1 + sqrt(alpha) eps`, alpha fixed or learnt.
    Gaussian,
}

impl GateKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Bernoulli, Self::Gaussian];

    /// The kind's word in a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Bernoulli => "bernoulli",
            Self::Gaussian => "gaussian",
        }
    }

    /// The keys that a recipe may have for the kind, beside `after` and `kind`.
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
