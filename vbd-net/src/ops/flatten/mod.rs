//! Flattens an image.

use serde::{Deserialize, Serialize};

use super::{Kind, NodeTensors, Plain, Units, one};
use crate::graph::Shape;

/// `[batch, c, h, w] -> [batch, c * h * w]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    /// Name for consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

impl Kind for Flatten {
    wiring!("flatten", optional);

    fn units(&self) -> Units {
        Units::Flatten
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(Shape::Features(one(inputs)?.len()))
    }

    fn plain(&self, inputs: &[Plain<'_>], _own: NodeTensors<'_>, _output: Shape) -> Vec<f32> {
        inputs[0].values.to_vec()
    }
}
