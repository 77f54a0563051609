//! The tensors of a net, and their check against its network.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::graph::{Graph, TensorSlot};
use crate::matrix::SparseMatrix;
use crate::problem::Problem;
use crate::spec::{LayerKind, NetSpec, Statistic};

/// Weight and bias of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedLayer {
    /// Name of the layer.
    pub name: String,
    /// Kind of the layer.
    pub kind: LayerKind,
    /// Shape of the weight, `[out, in]` or `[out, in / groups, rows, columns]`.
    pub shape: Vec<usize>,
    /// Kept entries of the weight, one row per output.
    pub weight: SparseMatrix,
    /// The bias, `[out]`: zeros if the layer has none.
    pub bias: Vec<f32>,
}

impl PrunedLayer {
    /// Returns the name of the weight's tensor, without the suffixes of its layout.
    pub fn weight_name(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Returns the name of the bias tensor.
    pub fn bias_name(&self) -> String {
        format!("{}.bias", self.name)
    }
}

/// Units kept by a selection layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Name of the layer.
    pub name: String,
    /// Indices of the input's features or channels, increasing.
    pub index: Vec<u32>,
}

impl Selection {
    /// Returns the name of the index tensor.
    pub fn index_name(&self) -> String {
        format!("{}.index", self.name)
    }
}

/// Factor and shift of each unit, of a scale layer.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitScale {
    /// Name of the layer.
    pub name: String,
    /// The factors, `[units]`.
    pub weight: Vec<f32>,
    /// The shifts, `[units]`.
    pub bias: Vec<f32>,
}

impl UnitScale {
    /// Returns the names of the tensors of factors and shifts.
    pub fn names(&self) -> [String; 2] {
        ["weight", "bias"].map(|what| format!("{}.{what}", self.name))
    }
}

/// Factor, shift and running statistics of each unit, of a batch normalisation.
#[derive(Debug, Clone, PartialEq)]
pub struct NormTensors {
    /// Name of the layer.
    pub name: String,
    /// The factors, `[units]`.
    pub weight: Vec<f32>,
    /// The shifts, `[units]`.
    pub bias: Vec<f32>,
    /// Running means, `[units]`.
    pub running_mean: Vec<f32>,
    /// Running variances, `[units]`.
    pub running_var: Vec<f32>,
}

/// The tensors of a net.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NetTensors {
    /// One per weight of the network, in order.
    pub layers: Vec<PrunedLayer>,
    /// One per selection, in order.
    pub selections: Vec<Selection>,
    /// One per scale, in order.
    pub scales: Vec<UnitScale>,
    /// One per batch normalisation, in order.
    pub norms: Vec<NormTensors>,
    /// Mean image, `[input_len]`, if the normalisation has one.
    pub mean: Option<Vec<f32>>,
    /// Standard deviations, `[input_len]`, if the normalisation has an image of them.
    pub std: Option<Vec<f32>>,
}

impl NormTensors {
    /// Returns the tensors with their names.
    pub fn named(&self) -> [(String, &[f32]); 4] {
        let named = [
            ("weight", &self.weight),
            ("bias", &self.bias),
            ("running_mean", &self.running_mean),
            ("running_var", &self.running_var),
        ];
        named.map(|(what, values)| (format!("{}.{what}", self.name), &values[..]))
    }

    /// Returns the name of the tensor of variances.
    pub(crate) fn variance_name(&self) -> String {
        format!("{}.running_var", self.name)
    }
}

impl NetTensors {
    /// Collects the tensors of a network from dense ones by name. See [`PrunedNet::from_parts`].
    ///
    /// [`PrunedNet::from_parts`]: super::PrunedNet::from_parts
    pub(super) fn from_named(
        spec: &NetSpec,
        graph: &Graph,
        tensors: BTreeMap<String, Vec<f32>>,
    ) -> Result<Self> {
        let mut named = NamedTensors {
            net: &spec.name,
            tensors,
        };
        let mut parts = Self::default();
        for (_, node) in graph.nodes() {
            let name = node.label.clone();
            match node.slot {
                TensorSlot::Nothing => {}
                TensorSlot::Norm(_) => {
                    let units = [node.shape.units()];
                    // PyTorch's count of batches, which the running averages do not depend on.
                    named.tensors.remove(&format!("{name}.num_batches_tracked"));
                    let mut take = |what: &str| named.take(&format!("{name}.{what}"), &units);
                    parts.norms.push(NormTensors {
                        weight: take("weight")?,
                        bias: take("bias")?,
                        running_mean: take("running_mean")?,
                        running_var: take("running_var")?,
                        name,
                    });
                }
                TensorSlot::Weight(weight) => {
                    let weight = &graph.weights()[weight];
                    let values = named.take(&format!("{name}.weight"), &weight.shape)?;
                    let nnz = values.iter().filter(|value| **value != 0.0).count();
                    let sizes = [weight.rows(), weight.cols()];
                    parts.layers.push(PrunedLayer {
                        kind: weight.kind,
                        shape: weight.shape.clone(),
                        weight: SparseMatrix::from_places(
                            sizes,
                            nnz,
                            values.into_iter().enumerate(),
                        ),
                        bias: if weight.has_bias {
                            named.take(&format!("{name}.bias"), &[weight.rows()])?
                        } else {
                            vec![0.0; weight.rows()]
                        },
                        name,
                    });
                }
                TensorSlot::Index(_) => parts.selections.push(Selection {
                    index: {
                        let all = graph.node(node.inputs[0]).shape.units();
                        named.take_index(&format!("{name}.index"), node.shape.units(), all)?
                    },
                    name,
                }),
                TensorSlot::Scale(_) => {
                    let units = [node.shape.units()];
                    parts.scales.push(UnitScale {
                        weight: named.take(&format!("{name}.weight"), &units)?,
                        bias: named.take(&format!("{name}.bias"), &units)?,
                        name,
                    });
                }
            }
        }
        parts.mean = named.take_image("normalize.mean", &spec.normalize.mean, spec)?;
        parts.std = named.take_image("normalize.std", &spec.normalize.std, spec)?;
        let std = parts.std.as_deref().unwrap_or_default();
        if let Some(index) = std.iter().position(|&value| value <= 0.0) {
            let value = std[index];
            return Err(named.problem("normalize.std", Problem::NotPositive { index, value }));
        }
        if let Some((tensor, _)) = named.tensors.pop_first() {
            let net = spec.name.clone();
            return Err(Error::UnknownTensor { net, tensor });
        }
        Ok(parts)
    }

    /// Checks the tensors against the network. Returns [`Error::Mismatch`] naming the tensor.
    pub(super) fn check(&self, spec: &NetSpec, graph: &Graph) -> Result<()> {
        count("weights", self.layers.len(), graph.weights().len())?;
        count("selections", self.selections.len(), graph.indices())?;
        count("scales", self.scales.len(), graph.scales())?;
        count("batch norms", self.norms.len(), graph.norms().len())?;
        for (layer, weight) in self.layers.iter().zip(graph.weights()) {
            let name = layer.weight_name();
            if layer.name != weight.layer || layer.kind != weight.kind {
                return Err(Error::mismatch(&name, &layer.shape, &weight.shape));
            }
            let sizes = [layer.weight.rows(), layer.weight.cols()];
            if layer.shape != weight.shape || sizes != [weight.rows(), weight.cols()] {
                return Err(Error::mismatch(&name, &layer.shape, &weight.shape));
            }
            count(&layer.bias_name(), layer.bias.len(), weight.rows())?;
            let wrong = layer.bias.iter().position(|&bias| bias != 0.0);
            if let Some(row) = wrong.filter(|_| !weight.has_bias) {
                let bias = layer.bias[row];
                let problem = format!("has no bias, but bias {row} is {bias}: expected zeros");
                return Err(spec.problem(&layer.name, problem));
            }
        }
        for (own, norm) in self.norms.iter().zip(graph.norms()) {
            if own.name != norm.layer {
                return Err(Error::mismatch(
                    &own.name,
                    &[own.weight.len()],
                    &[norm.units],
                ));
            }
            for (name, values) in own.named() {
                count(&name, values.len(), norm.units)?;
            }
        }
        for (_, node) in graph.nodes() {
            let input = |index: usize| graph.node(node.inputs[index]).shape.units();
            match node.slot {
                TensorSlot::Nothing | TensorSlot::Weight(_) | TensorSlot::Norm(_) => {}
                TensorSlot::Index(index) => {
                    let selection = &self.selections[index];
                    let rises = selection.index.windows(2).all(|pair| pair[0] < pair[1]);
                    let inside = selection
                        .index
                        .last()
                        .is_some_and(|&last| (last as usize) < input(0));
                    let found = if rises && inside {
                        selection.index.len()
                    } else {
                        0
                    };
                    count(&selection.index_name(), found, node.shape.units())?;
                }
                TensorSlot::Scale(index) => {
                    let scale = &self.scales[index];
                    let [weight, bias] = scale.names();
                    count(&weight, scale.weight.len(), input(0))?;
                    count(&bias, scale.bias.len(), input(0))?;
                }
            }
        }
        let rule = &spec.normalize;
        let images = [
            ("normalize.mean", &rule.mean, &self.mean),
            ("normalize.std", &rule.std, &self.std),
        ];
        for (name, rule, image) in images {
            let expected = if rule.is_image() { spec.input_len() } else { 0 };
            count(name, image.as_ref().map_or(0, Vec::len), expected)?;
        }
        Ok(())
    }
}

/// Dense tensors by name, each removed when it is used.
struct NamedTensors<'a> {
    net: &'a str,
    tensors: BTreeMap<String, Vec<f32>>,
}

impl NamedTensors<'_> {
    /// Removes the tensor `name`, which has `shape`.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let absent = || Error::AbsentTensor {
            net: self.net.to_owned(),
            tensor: name.to_owned(),
        };
        let values = self.tensors.remove(name).ok_or_else(absent)?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(Error::mismatch(name, &[values.len()], shape));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => {
                let value = values[index];
                Err(self.problem(name, Problem::NotFinite { index, value }))
            }
            None => Ok(values),
        }
    }

    /// Removes the indices of a selection of `units` of `all` units.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "indices are compared with the values that they come from"
    )]
    fn take_index(&mut self, name: &str, units: usize, all: usize) -> Result<Vec<u32>> {
        let values = self.take(name, &[units])?;
        let index: Vec<u32> = values.iter().map(|&value| value as u32).collect();
        for (place, (&index_at, &value)) in index.iter().zip(&values).enumerate() {
            let rises = place == 0 || index[place - 1] < index_at;
            if index_at as f32 != value || index_at as usize >= all || !rises {
                let found = value as i32;
                return Err(self.problem(name, Problem::Index { place, found, all }));
            }
        }
        Ok(index)
    }

    /// Removes a mean or std image, if the normalisation has one.
    fn take_image(
        &mut self,
        name: &str,
        statistic: &Statistic,
        spec: &NetSpec,
    ) -> Result<Option<Vec<f32>>> {
        let image = statistic.is_image().then(|| self.take(name, &spec.input));
        image.transpose()
    }

    fn problem(&self, tensor: &str, problem: Problem) -> Error {
        Error::Part {
            net: self.net.to_owned(),
            tensor: tensor.to_owned(),
            problem,
        }
    }
}

/// Returns [`Error::Mismatch`] if the number of values is wrong.
fn count(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::mismatch(name, &[found], &[expected]))
}
