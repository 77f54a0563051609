//! What a network's outputs are measured by, and against what.

use serde::{Deserialize, Serialize};

/// How far outputs are from their targets.
// Exhaustive on purpose: a new loss breaks the build of every crate that must run or train it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Outputs are logits of classes, targets are labels.
    #[default]
    CrossEntropy,
    /// Outputs are values, and so are targets.
    Mse,
}

impl Loss {
    /// The loss's word in TOML and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
        }
    }

    /// Whether it is the loss of a network that says nothing.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "what serde asks of a predicate"
    )]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The targets of a network without classes.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The normalised input itself: an autoencoder.
    Input,
}
