//! A fully connected layer.

mod run;

pub(crate) use run::{LinearKernels, One};

use serde::{Deserialize, Serialize};

use super::{GEOMETRIES, Kind, RequiredTensors, Units, is_true, one, yes};
use crate::graph::{MAX_ACTIVATION, MAX_TENSOR, Shape, checked_len};
use crate::spec::LayerKind;

/// Fully connected layer, `y = x W^T + b`, `[batch, in] -> [batch, out_features]`. An image is
/// flattened first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Prefix of the layer's tensors: `fc1` gives `fc1.weight`.
    pub name: String,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Number of outputs.
    pub out_features: usize,
    /// Whether there is a bias.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub bias: bool,
}

impl Linear {
    /// Creates a layer with a bias that reads the layer above.
    pub fn new(name: &str, out_features: usize) -> Self {
        Self {
            name: name.to_owned(),
            input: None,
            out_features,
            bias: true,
        }
    }
}

impl Kind for Linear {
    wiring!("linear", named);

    fn units(&self) -> Units {
        Units::Mixes
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        checked_len(&[self.out_features], MAX_ACTIVATION)?;
        checked_len(&[self.out_features, one(inputs)?.len()], MAX_TENSOR)?;
        Ok(Shape::Features(self.out_features))
    }

    fn needs(&self, inputs: &[Shape]) -> RequiredTensors {
        RequiredTensors::Weight {
            kind: LayerKind::Linear,
            shape: vec![self.out_features, inputs[0].len()],
            groups: 1,
            has_bias: self.bias,
        }
    }

    fn set_units(&mut self, units: usize) {
        self.out_features = units;
    }

    fn add_bias(&mut self) {
        self.bias = true;
    }

    fn since(&self) -> u32 {
        if self.bias { 1 } else { GEOMETRIES }
    }
}
