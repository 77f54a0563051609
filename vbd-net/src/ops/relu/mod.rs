//! `max(x, 0)`.

use serde::{Deserialize, Serialize};

use super::{Kind, NodeTensors, Plain, Units, one};
use crate::graph::Shape;

/// `max(x, 0)`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relu {
    /// Name for consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

impl Kind for Relu {
    wiring!("relu", optional);

    fn units(&self) -> Units {
        Units::Same
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn plain(&self, inputs: &[Plain<'_>], _own: NodeTensors<'_>, _output: Shape) -> Vec<f32> {
        inputs[0]
            .values
            .iter()
            .map(|value| value.max(0.0))
            .collect()
    }
}
