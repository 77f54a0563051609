//! Loss and target of a network.

use serde::{Deserialize, Serialize};

/// Loss of a network.
// Exhaustive on purpose: a new loss must break the build of every crate that runs or trains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy: outputs are logits of classes, targets are labels.
    #[default]
    CrossEntropy,
    /// Mean squared error: outputs and targets are values.
    Mse,
}

impl Loss {
    /// Returns the name in TOML and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
        }
    }

    /// Returns whether it is the default.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "what serde asks of a predicate"
    )]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Target of a network without classes.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The normalised input: the network is an autoencoder.
    Input,
}
