//! A network as data: what its layers are, not how they are computed.
//!
//! A [`NetSpec`] is read from TOML (`vbd-models/nets`, or a user's own file), travels as JSON in the
//! metadata of every file this project writes, and is all that an engine needs to build a network.
//! Sizes that follow from others are worked out by [`NetSpec::resolve`], never written.

mod layer;
mod loss;
mod normalize;

use serde::{Deserialize, Serialize};

pub use layer::{LayerKind, LayerSpec};
pub use loss::{Loss, Target};
pub(crate) use normalize::normalized;
pub use normalize::{Measured, Normalize, Normalizer, Statistic};

use crate::error::Error;

/// A network: the shape that goes in, the layers in order, and what comes out of the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSpec {
    /// Name of the network, as reports show it.
    pub name: String,
    /// `[channels, height, width]`, or `[features]`.
    pub input: Vec<usize>,
    /// Width of the last layer, where that gives logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// What the outputs are measured by.
    #[serde(default, skip_serializing_if = "Loss::is_default")]
    pub loss: Loss,
    /// What they are measured against, where those are no labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// How pixels become inputs.
    #[serde(default)]
    pub normalize: Normalize,
    /// The layers, from input to output.
    #[serde(rename = "layer")]
    pub layers: Vec<LayerSpec>,
}

impl NetSpec {
    /// A network without input and layers yet, that tells this many classes apart.
    pub fn classifier(name: &str, classes: usize) -> Self {
        Self {
            name: name.to_owned(),
            input: Vec::new(),
            classes: Some(classes),
            loss: Loss::default(),
            target: None,
            normalize: Normalize::default(),
            layers: Vec::new(),
        }
    }

    /// Number of values in one input sample.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Number of values that one sample becomes: a logit a class, or as many values as came in.
    pub fn output_len(&self) -> usize {
        match self.loss {
            Loss::CrossEntropy => self.classes.unwrap_or(0),
            Loss::Mse => self.input_len(),
        }
    }

    /// An error of this network that names the layer, or the field.
    pub fn problem(&self, layer: &str, problem: impl Into<String>) -> Error {
        Error::Spec {
            net: self.name.clone(),
            layer: layer.to_owned(),
            problem: problem.into(),
        }
    }
}
