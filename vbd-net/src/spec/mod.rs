//! A network as data: what its layers are, not how they are computed.
//!
//! A [`NetSpec`] is read from TOML (`vbd-models/nets`, or a user's own file), travels as JSON in the
//! metadata of every file this project writes, and is all that an engine needs to build a network.
//! Sizes that follow from others are worked out by [`NetSpec::shapes`], never written.

mod layer;
mod normalize;
mod shape;

use serde::{Deserialize, Serialize};

pub use layer::{LayerKind, LayerSpec};
pub use normalize::{Normalize, Normalizer, Statistic};
pub use shape::{MAX_ACTIVATION, MAX_TENSOR, Shape, WeightSpec};

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

    /// Whether the first layer with parameters is linear and nothing but a flattening or a selection
    /// lies before it. Then a shift of the input is a shift of that layer's bias, and zero pixels can be skipped.
    pub fn starts_linear(&self) -> bool {
        self.layers
            .iter()
            .find(|layer| !matches!(layer, LayerSpec::Flatten {} | LayerSpec::Select { .. }))
            .is_some_and(|layer| matches!(layer, LayerSpec::Linear { .. }))
    }

    /// Whether the layer at `index` takes an image as its values, and not as channels.
    pub fn is_flat_at(&self, index: usize) -> bool {
        let layer = self.layers.get(index);
        matches!(
            layer,
            Some(LayerSpec::Flatten {} | LayerSpec::Linear { .. })
        )
    }

    /// What to say of a selection in a network that is to be trained.
    pub fn cannot_train(&self, layer: &str) -> Error {
        let problem = "a selection comes from `vbd prune --structured`, and cannot be trained";
        self.problem(layer, problem)
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
