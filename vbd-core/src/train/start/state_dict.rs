//! A PyTorch state dict: dense tensors with the network's names, from a safetensors file.

use std::path::Path;

use vbd_net::graph::{NormSpec, WeightSpec};
use vbd_net::spec::NetSpec;
use vbd_net::tensor_file::{RawTensor, Tensors};

use super::Start;
use crate::error::{Error, Result};
use crate::weight::{LayerParameters, NormParameters, Parameter, Parameters, Weight};

/// Most names of one sort in a message.
const MOST_NAMES: usize = 6;

impl Start {
    /// Starts from dense tensors in f32, f16 or bf16: `fc1.weight` and `fc1.bias` of each layer with
    /// a weight, `bn1.weight`, `bn1.bias`, `bn1.running_mean` and `bn1.running_var` of each batch
    /// normalisation. `bn1.num_batches_tracked` is ignored.
    ///
    /// # Errors
    /// [`Error::StartTensors`], which names the tensors that differ, are missing or are left over;
    /// [`vbd_net::Error::Spec`] if the network is invalid.
    pub fn from_state_dict(spec: &NetSpec, tensors: Tensors, path: &Path) -> Result<Self> {
        let graph = spec.resolve()?;
        let mut dict = StateDict {
            tensors,
            differing: Vec::new(),
            missing: Vec::new(),
        };
        let layers: Vec<_> = graph.weights().iter().map(|w| dict.layer(w)).collect();
        let norms: Vec<_> = graph.norms().iter().map(|norm| dict.norm(norm)).collect();
        if let Some(problem) = dict.problem() {
            return Err(Error::StartTensors {
                path: path.to_path_buf(),
                net: spec.name.clone(),
                problem,
            });
        }
        Ok(Self {
            origin: path.display().to_string(),
            spec: spec.clone(),
            parameters: Parameters {
                layers: layers.into_iter().collect::<Result<_>>()?,
                norms,
                gates: Vec::new(),
                net: Vec::new(),
            },
            is_pruned: false,
        })
    }
}

/// Tensors that are left, and what has been wrong so far.
struct StateDict {
    tensors: Tensors,
    differing: Vec<String>,
    missing: Vec<String>,
}

impl StateDict {
    fn layer(&mut self, weight: &WeightSpec) -> Result<LayerParameters> {
        let name = &weight.layer;
        let theta = self.take(&format!("{name}.weight"), &weight.shape);
        let bias = if weight.has_bias {
            self.take(&format!("{name}.bias"), &weight.shape[..1])
        } else {
            vec![0.0; weight.rows()]
        };
        Ok(LayerParameters {
            name: name.clone(),
            weight: Weight::dense(&weight.shape, Parameter::new(theta), Vec::new())?,
            bias: Parameter::new(bias),
        })
    }

    fn norm(&mut self, norm: &NormSpec) -> NormParameters {
        let name = &norm.layer;
        self.tensors.remove(&format!("{name}.num_batches_tracked"));
        let mut take = |what: &str| self.take(&format!("{name}.{what}"), &[norm.units]);
        let taken = NormParameters {
            name: name.clone(),
            weight: Parameter::new(take("weight")),
            bias: Parameter::new(take("bias")),
            running_mean: take("running_mean"),
            running_var: take("running_var"),
        };
        let negative = taken.running_var.iter().position(|&var| var < 0.0);
        if let Some(index) = negative {
            let value = taken.running_var[index];
            self.differing.push(format!(
                "`{name}.running_var` has {value} at {index}: expected 0 or more"
            ));
        }
        taken
    }

    /// Removes a tensor. Returns zeros if it is missing or unusable, and remembers that.
    fn take(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        match self.tensors.remove(name) {
            None => self.missing.push(format!("`{name}`")),
            Some(raw) => match values_of(&raw, shape) {
                Ok(values) => return values,
                Err(problem) => self.differing.push(format!("`{name}` {problem}")),
            },
        }
        vec![0.0; shape.iter().product()]
    }

    /// Describes everything that was wrong.
    fn problem(&self) -> Option<String> {
        let over = self.tensors.keys().map(|name| format!("`{name}`"));
        let (missing, over) = (listed(&self.missing), listed(&over.collect::<Vec<_>>()));
        let mut problems: Vec<String> = listed(&self.differing).into_iter().collect();
        problems.extend(missing.map(|names| format!("missing: {names}")));
        problems.extend(over.map(|names| format!("left over: {names}")));
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

/// Returns the values of a tensor of this shape, or what is wrong with it.
fn values_of(raw: &RawTensor, shape: &[usize]) -> std::result::Result<Vec<f32>, String> {
    if raw.shape != shape {
        return Err(format!("has shape {:?}: expected {shape:?}", raw.shape));
    }
    let Some(values) = raw.to_floats() else {
        let found = raw.dtype;
        return Err(format!("has type {found:?}: expected F32, F16 or BF16"));
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(format!(
            "has {} at {index}: expected finite numbers",
            values[index]
        )),
        None => Ok(values),
    }
}

/// Joins some of the names; `None` if there are none.
fn listed(names: &[String]) -> Option<String> {
    let shown = names.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>();
    let more = match names.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}
