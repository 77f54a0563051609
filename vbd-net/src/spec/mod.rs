//! A network as data: its layers, not their computation.
//!
//! A [`NetSpec`] is read from TOML (`vbd-models/nets`, or a user's own file), stored as JSON in the
//! metadata of every file, and sufficient for an engine to build the network. Sizes that follow
//! from others are omitted and computed by [`NetSpec::resolve`].

mod layer;
mod loss;
mod normalize;
mod sides;

use serde::{Deserialize, Serialize};

pub use layer::{LayerKind, LayerSpec};
pub use loss::{Loss, Target};
pub use normalize::{Measurement, Normalize, Normalizer, Statistic};
pub(crate) use normalize::{normalized, normalized_extremes};
pub use sides::{Groups, Padding, PoolWindow, Sides};

use crate::error::Error;

/// A network: input shape, layers in order, and loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSpec {
    /// Name of the network, shown in reports.
    pub name: String,
    /// `[channels, height, width]`, or `[features]`.
    pub input: Vec<usize>,
    /// Number of classes, for cross-entropy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Loss.
    #[serde(default, skip_serializing_if = "Loss::is_default")]
    pub loss: Loss,
    /// Target, unless labels are the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Normalisation of pixels.
    #[serde(default)]
    pub normalize: Normalize,
    /// Layers, from input to output.
    #[serde(rename = "layer")]
    pub layers: Vec<LayerSpec>,
}

impl NetSpec {
    /// Creates a classifier without input and layers.
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

    /// Parses a network from JSON, as in the metadata of every file, and checks it.
    ///
    /// # Errors
    /// [`Error::Json`] if the text is invalid JSON, has an unknown key or lacks one;
    /// [`Error::Spec`] if the network is invalid.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let spec: Self = serde_json::from_str(text).map_err(Error::Json)?;
        spec.resolve()?;
        Ok(spec)
    }

    /// Returns the number of values per input sample.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Returns the number of outputs per sample: one per class, or as many as inputs.
    pub fn output_len(&self) -> usize {
        match self.loss {
            Loss::CrossEntropy => self.classes.unwrap_or(0),
            Loss::Mse => self.input_len(),
        }
    }

    /// Creates the error for a batch normalisation in a pruned net.
    pub(crate) fn not_folded(&self, layer: &str) -> Error {
        let problem = "a pruned net has no batch_norm: it is folded into the weight before it";
        self.problem(layer, problem)
    }

    /// Creates an error that names the layer or field.
    pub fn problem(&self, layer: &str, problem: impl Into<String>) -> Error {
        Error::Spec {
            net: self.name.clone(),
            layer: layer.to_owned(),
            problem: problem.into(),
        }
    }
}
