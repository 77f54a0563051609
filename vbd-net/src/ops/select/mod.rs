//! Selection of units.

use serde::{Deserialize, Serialize};

use super::{Kind, NodeTensors, Plain, RequiredTensors, Units, one};
use crate::graph::Shape;

/// Selects features or channels by the indices in the tensor `NAME.index`. Written by pruning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Select {
    /// Prefix of the layer's tensor.
    pub name: String,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Number of units kept.
    pub units: usize,
}

impl Kind for Select {
    wiring!("select", named);

    fn units(&self) -> Units {
        Units::Picks
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (input, units) = (one(inputs)?, self.units);
        let all = input.units();
        if units == 0 || units > all {
            return Err(format!("keeps {units} of {all} units: expected 1 to {all}"));
        }
        Ok(input.with_units(units))
    }

    fn needs(&self, _inputs: &[Shape]) -> RequiredTensors {
        RequiredTensors::Index
    }

    fn set_units(&mut self, units: usize) {
        self.units = units;
    }

    fn can_train(&self) -> bool {
        false
    }

    fn plain(&self, inputs: &[Plain<'_>], tensors: NodeTensors<'_>, output: Shape) -> Vec<f32> {
        let NodeTensors::Index(index) = tensors else {
            return Vec::new();
        };
        let area = output.area();
        let units = index.iter().map(|&unit| unit as usize);
        let values = units.flat_map(|unit| &inputs[0].values[unit * area..][..area]);
        values.copied().collect()
    }
}
