//! Folds batch normalisations into the weights before them.
//!
//! `(W x + b - mean) / sqrt(var + eps) * weight + bias = (f W) x + (b - mean) f + bias` with
//! `f = weight / sqrt(var + eps)` for each row, computed in f64. A batch normalisation that follows
//! another layer than a weight, or a weight that other layers read too, becomes a `scale` of the
//! same name.

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, NormSpec, Rewiring, Source, TensorSlot};
use crate::matrix::SparseMatrix;
use crate::net::{NetTensors, NormTensors, PrunedLayer, UnitScale};
use crate::ops::Scale;
use crate::problem::Problem;
use crate::spec::{LayerSpec, NetSpec};

/// A network without batch normalisations.
pub(crate) struct Folded {
    pub(crate) spec: NetSpec,
    pub(crate) graph: Graph,
    pub(crate) parts: NetTensors,
    /// Names of batch normalisations and of the layers that they are part of now.
    pub(crate) into: Vec<(String, String)>,
}

/// Folds all batch normalisations of a network, whose tensors match it.
///
/// # Errors
/// [`Error::Part`] if a value is NaN or infinite, or a variance negative; [`Error::Spec`] if a
/// weight, bias, factor or shift becomes infinite.
pub(crate) fn fold(spec: NetSpec, graph: Graph, mut parts: NetTensors) -> Result<Folded> {
    let norms = std::mem::take(&mut parts.norms);
    let mut into = Vec::new();
    if norms.is_empty() {
        return Ok(Folded {
            spec,
            graph,
            parts,
            into,
        });
    }
    let mut scales = std::mem::take(&mut parts.scales).into_iter();
    let mut layers = Rewiring::new(&spec);
    let mut sources: Vec<Source> = Vec::with_capacity(graph.nodes().len());
    // The weight whose rows are a node's units.
    let mut weights: Vec<Option<usize>> = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes() {
        let Some(layer) = graph.layer(id, &spec) else {
            sources.push(Source::Input);
            weights.push(None);
            continue;
        };
        let mut layer = layer.clone();
        let mut weight = graph.weight_number(id);
        match node.slot {
            TensorSlot::Norm(number) => {
                let input = node.inputs[0];
                let factors = Factors::new(&spec.name, &graph.norms()[number], &norms[number])?;
                let before = weights[input.index()].filter(|_| is_alone(&graph, input));
                if let Some(number) = before {
                    let own = &mut parts.layers[number];
                    factors.fold_into(own, &spec, &node.label)?;
                    into.push((node.label.clone(), own.name.clone()));
                    weights.push(before);
                    sources.push(sources[input.index()]);
                    continue;
                }
                let name = node.label.clone();
                parts.scales.push(factors.into_scale(&spec, &name)?);
                layer = LayerSpec::Scale(Scale { name, input: None });
                weight = None;
            }
            TensorSlot::Scale(_) => parts.scales.extend(scales.next()),
            TensorSlot::Weight(_) if is_normalised(&graph, id) => layer.kind_mut().add_bias(),
            _ => {}
        }
        let reads = node.inputs.iter().map(|input| sources[input.index()]);
        let reads = reads.collect();
        sources.push(layers.push(layer, reads));
        weights.push(weight);
    }
    let spec = NetSpec {
        layers: layers.finish(),
        ..spec
    };
    let graph = spec.resolve()?;
    Ok(Folded {
        spec,
        graph,
        parts,
        into,
    })
}

/// Returns whether a node has one consumer.
fn is_alone(graph: &Graph, id: NodeId) -> bool {
    graph.sole_consumer(id).is_some()
}

/// Returns whether a batch normalisation is the only consumer of a node.
fn is_normalised(graph: &Graph, id: NodeId) -> bool {
    let consumer = graph.sole_consumer(id);
    consumer.is_some_and(|id| matches!(graph.node(id).slot, TensorSlot::Norm(_)))
}

/// `y = (x - mean) weight + shift` for each unit.
struct Factors {
    weights: Vec<f64>,
    means: Vec<f64>,
    shifts: Vec<f64>,
}

impl Factors {
    fn new(net: &str, norm: &NormSpec, own: &NormTensors) -> Result<Self> {
        let problem = |tensor: String, problem| Error::Part {
            net: net.to_owned(),
            tensor,
            problem,
        };
        for (tensor, values) in own.named() {
            let wrong = values.iter().position(|value| !value.is_finite());
            if let Some(index) = wrong {
                let value = values[index];
                return Err(problem(tensor, Problem::NotFinite { index, value }));
            }
        }
        if let Some(index) = own.running_var.iter().position(|&value| value < 0.0) {
            let (tensor, value) = (own.variance_name(), own.running_var[index]);
            return Err(problem(tensor, Problem::Negative { index, value }));
        }
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
        let factors = own.weight.iter().zip(&own.running_var);
        let factors = factors.map(|(&weight, &variance)| {
            f64::from(weight) / (f64::from(variance) + norm.eps).sqrt()
        });
        Ok(Self {
            weights: factors.collect(),
            means: wide(&own.running_mean),
            shifts: wide(&own.bias),
        })
    }

    /// Multiplies the rows of a weight. Entries that become 0 are dropped.
    fn fold_into(&self, layer: &mut PrunedLayer, spec: &NetSpec, norm: &str) -> Result<()> {
        let finite = |value: f64, what: &str, row: usize| {
            let into = &layer.name;
            let place = format!("{what} of row {row} of `{into}`, into which it is folded");
            finite(value, spec, norm, &place)
        };
        let old = &layer.weight;
        let mut folded = SparseMatrix::with_capacity(old.rows(), old.cols(), old.nnz());
        let mut biases = Vec::with_capacity(layer.bias.len());
        for (row, &bias) in layer.bias.iter().enumerate() {
            let factor = self.weights[row];
            let (columns, values) = old.row(row);
            for (&col, &value) in columns.iter().zip(values) {
                let value = finite(f64::from(value) * factor, "a weight", row)?;
                if value != 0.0 {
                    folded.push(col, value);
                }
            }
            folded.end_row();
            let bias = (f64::from(bias) - self.means[row]) * factor + self.shifts[row];
            biases.push(finite(bias, "the bias", row)?);
        }
        (layer.weight, layer.bias) = (folded, biases);
        Ok(())
    }

    /// Returns the scale in place of the batch normalisation `name`.
    fn into_scale(self, spec: &NetSpec, name: &str) -> Result<UnitScale> {
        let mut scale = UnitScale {
            name: name.to_owned(),
            weight: Vec::with_capacity(self.weights.len()),
            bias: Vec::with_capacity(self.weights.len()),
        };
        let units = self.weights.iter().zip(&self.means).zip(&self.shifts);
        for (unit, ((&factor, &mean), &shift)) in units.enumerate() {
            let place = format!("the factor of unit {unit}");
            scale.weight.push(finite(factor, spec, name, &place)?);
            let place = format!("the shift of unit {unit}");
            let shift = shift - mean * factor;
            scale.bias.push(finite(shift, spec, name, &place)?);
        }
        Ok(scale)
    }
}

/// Rounds a value of the batch normalisation `norm`, or returns an error if it becomes infinite.
#[expect(clippy::cast_possible_truncation, reason = "values are f32")]
fn finite(value: f64, spec: &NetSpec, norm: &str, place: &str) -> Result<f32> {
    let rounded = value as f32;
    if rounded.is_finite() {
        return Ok(rounded);
    }
    Err(spec.problem(norm, format!("{place} becomes {value:e}, which is no f32")))
}
