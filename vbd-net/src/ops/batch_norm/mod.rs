//! Batch normalisation.
//!
//! Only a network to train has it: a pruned net has it folded into the weight before it, or has a
//! `scale` in its place.

use serde::{Deserialize, Serialize};

use super::{Kind, RequiredTensors, Units, one};
use crate::graph::Shape;

/// `y = (x - mean) / sqrt(variance + eps) * weight + bias` for each feature or channel. Mean and
/// variance are those of the batch in training, and running averages otherwise (Ioffe and Szegedy
/// 2015).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Prefix of the layer's tensors: `weight`, `bias`, `running_mean` and `running_var`.
    pub name: String,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Added to the variance.
    #[serde(default = "default_eps", skip_serializing_if = "is_default_eps")]
    pub eps: f64,
    /// Share of a batch in the running statistics.
    #[serde(
        default = "default_momentum",
        skip_serializing_if = "is_default_momentum"
    )]
    pub momentum: f64,
}

impl BatchNorm {
    /// Creates a batch normalisation with PyTorch's defaults: eps 1e-5 and momentum 0.1.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            input: None,
            eps: default_eps(),
            momentum: default_momentum(),
        }
    }
}

impl Kind for BatchNorm {
    wiring!("batch_norm", named);

    fn units(&self) -> Units {
        Units::PerUnit
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked as it is used")]
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (eps, momentum) = (self.eps, self.momentum);
        if !((eps as f32).is_normal() && eps > 0.0) {
            return Err(format!("eps must be positive and finite, got {eps:?}"));
        }
        if !(momentum > 0.0 && momentum <= 1.0) {
            return Err(format!(
                "momentum must be above 0 and up to 1, got {momentum:?}"
            ));
        }
        one(inputs)
    }

    fn needs(&self, _inputs: &[Shape]) -> RequiredTensors {
        RequiredTensors::Norm {
            eps: self.eps,
            momentum: self.momentum,
        }
    }
}

fn default_eps() -> f64 {
    1e-5
}

fn default_momentum() -> f64 {
    0.1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_default_eps(value: &f64) -> bool {
    value.to_bits() == default_eps().to_bits()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_default_momentum(value: &f64) -> bool {
    value.to_bits() == default_momentum().to_bits()
}
