//! A factor and a shift per unit: a gate that could not be folded.

use serde::{Deserialize, Serialize};

use super::{Kind, NodeTensors, Plain, RequiredTensors, Units, one};
use crate::graph::Shape;

/// `y = x w + b` with one `w` and one `b` per feature or channel. Written by pruning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Prefix of the layer's tensors: `NAME.weight` and `NAME.bias`.
    pub name: String,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

impl Kind for Scale {
    wiring!("scale", named);

    fn units(&self) -> Units {
        Units::PerUnit
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn needs(&self, _inputs: &[Shape]) -> RequiredTensors {
        RequiredTensors::Scale
    }

    fn can_train(&self) -> bool {
        false
    }

    fn since(&self) -> u32 {
        2
    }

    fn plain(&self, inputs: &[Plain<'_>], tensors: NodeTensors<'_>, output: Shape) -> Vec<f32> {
        let NodeTensors::Scale(scale) = tensors else {
            return Vec::new();
        };
        let units = inputs[0].values.chunks_exact(output.area());
        let rules = scale.weight.iter().zip(&scale.bias);
        let values = units
            .zip(rules)
            .flat_map(|(unit, (weight, bias))| unit.iter().map(move |value| value * weight + bias));
        values.collect()
    }
}
