//! A network as data: what its layers are, not how they are computed.
//!
//! A [`NetSpec`] is read from TOML (`vbd-models/nets`, or a user's own file), travels as JSON in the
//! metadata of every file this project writes, and is all that an engine needs to build a network.
//! Sizes that follow from others are worked out by [`NetSpec::shapes`], never written.
//!
//! ```
//! use vbd_core::spec::NetSpec;
//!
//! let spec = NetSpec::from_toml(
//!     r#"
//!     name = "small"
//!     input = [1, 8, 8]
//!     classes = 10
//!     normalize = { scale = 0.00390625, mean = "image" }
//!     [[layer]]
//!     kind = "flatten"
//!     [[layer]]
//!     kind = "linear"
//!     name = "fc1"
//!     out_features = 10
//!     "#,
//!     "small.toml",
//! )?;
//! assert_eq!(spec.weights()?[0].shape, [10, 64]);
//! # Ok::<(), vbd_core::Error>(())
//! ```

mod layer;
mod normalize;
mod shape;

use serde::{Deserialize, Serialize};

pub use layer::{LayerKind, LayerSpec};
pub use normalize::{Normalize, Normalizer, Statistic};
pub use shape::{MAX_ACTIVATION, MAX_TENSOR, Shape, WeightSpec};

use crate::error::{Error, Result};
use crate::toml_file;

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
    /// Reads a network from TOML; `origin` names the text in errors.
    ///
    /// # Errors
    /// [`Error::Toml`] if the text is no TOML, has an unknown key, or lacks one;
    /// [`Error::Spec`] if the layers do not fit together.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let spec: Self = toml_file::parse(text, origin)?;
        spec.shapes()?;
        Ok(spec)
    }

    /// The network as TOML.
    ///
    /// # Errors
    /// [`Error::TomlWrite`] if a value has no TOML form.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

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
    pub(crate) fn is_flat_at(&self, index: usize) -> bool {
        let layer = self.layers.get(index);
        matches!(
            layer,
            Some(LayerSpec::Flatten {} | LayerSpec::Linear { .. })
        )
    }

    /// What to say of a selection in a network that is to be trained.
    pub(crate) fn cannot_train(&self, layer: &str) -> Error {
        let problem = "a selection comes from `vbd prune --structured`, and cannot be trained";
        self.problem(layer, problem)
    }

    pub(crate) fn problem(&self, layer: &str, problem: impl Into<String>) -> Error {
        Error::Spec {
            net: self.name.clone(),
            layer: layer.to_owned(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_in_every_kind_of_layer() {
        let kinds = [
            "kind = 'linear'\nname = 'a'\nout_features = 2",
            "kind = 'conv2d'\nname = 'a'\nout_channels = 2\nkernel = 1",
            "kind = 'max_pool2d'\nkernel = 1",
            "kind = 'relu'",
            "kind = 'flatten'",
            "kind = 'select'\nname = 'a'\nunits = 1",
        ];
        for kind in kinds {
            let text = format!(
                "name = 'n'\ninput = [1, 2, 2]\nclasses = 2\n[[layer]]\n{kind}\nslope = 0.1\n\
                 [[layer]]\nkind = 'linear'\nname = 'last'\nout_features = 2\n"
            );
            let error = NetSpec::from_toml(&text, "n.toml").unwrap_err().to_string();
            assert!(error.contains("slope"), "{kind}: {error}");
            let known = text.replace("slope = 0.1\n", "");
            assert!(NetSpec::from_toml(&known, "n.toml").is_ok(), "{kind}");
        }
    }
}
