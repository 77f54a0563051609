//! A network as data: what its layers are, not how they are computed.
//!
//! A [`NetSpec`] is read from TOML (`vbd-models/nets`, or a user's own file), travels as JSON in the
//! metadata of every file this project writes, and is all that an engine needs to build a network.
//! Sizes that follow from others are worked out by [`NetSpec::resolve`], never written.

mod layer;
mod normalize;

use serde::{Deserialize, Serialize};

pub use layer::{LayerKind, LayerSpec};
pub use normalize::{Normalize, Normalizer, Statistic};

use crate::error::Error;

/// A network: the shape that goes in, the layers in order, and how many classes come out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSpec {
    /// Name of the network, as reports show it.
    pub name: String,
    /// `[channels, height, width]`, or `[features]`.
    pub input: Vec<usize>,
    /// Width of the last layer.
    pub classes: usize,
    /// How pixels become inputs.
    #[serde(default)]
    pub normalize: Normalize,
    /// The layers, from input to output.
    #[serde(rename = "layer")]
    pub layers: Vec<LayerSpec>,
}

impl NetSpec {
    /// Number of values in one input sample.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
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
