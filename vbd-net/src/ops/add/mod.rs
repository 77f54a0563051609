//! Sum of layers: the end of a residual branch.

mod run;

pub(super) use run::Sum;
use serde::{Deserialize, Serialize};

use super::{Kind, NodeTensors, Plain, Units};
use crate::graph::Shape;

/// Maximum number of inputs, because the layers of untrusted files are traversed often.
const MOST_INPUTS: usize = 256;

/// Element-wise sum of layers of equal shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Name for consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names of the layers to add, two or more; `input` is the network's input.
    pub inputs: Vec<String>,
}

impl Kind for Add {
    fn word(&self) -> &'static str {
        "add"
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn set_name(&mut self, name: String) {
        self.name = Some(name);
    }

    fn names_inputs(&self) -> bool {
        true
    }

    fn reads(&self) -> Vec<Option<&str>> {
        self.inputs.iter().map(|name| Some(name.as_str())).collect()
    }

    fn set_input(&mut self, index: usize, name: Option<String>) {
        if let (Some(input), Some(name)) = (self.inputs.get_mut(index), name) {
            *input = name;
        }
    }

    fn units(&self) -> Units {
        Units::Ties
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [first, rest @ ..] = inputs else {
            return Err("adds no layers: expected two or more".to_owned());
        };
        if inputs.len() > MOST_INPUTS {
            let found = inputs.len();
            return Err(format!("adds {found} layers: expected up to {MOST_INPUTS}"));
        }
        if rest.is_empty() {
            return Err("adds one layer: expected two or more".to_owned());
        }
        for (index, other) in (1..).zip(rest) {
            if other != first {
                let [a, b] = [&self.inputs[0], &self.inputs[index]];
                let [one, other] = [first.dims(), other.dims()];
                return Err(format!(
                    "adds `{a}` of shape {one:?} and `{b}` of shape {other:?}: expected equal shapes"
                ));
            }
        }
        Ok(*first)
    }

    fn since(&self) -> u32 {
        2
    }

    fn plain(&self, inputs: &[Plain<'_>], _own: NodeTensors<'_>, output: Shape) -> Vec<f32> {
        let mut sum = vec![0.0; output.len()];
        for input in inputs {
            for (sum, value) in sum.iter_mut().zip(input.values) {
                *sum += value;
            }
        }
        sum
    }
}
