//! The simplest way to compute a network, with its batch normalisations.
#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

use std::collections::BTreeMap;

use vbd_net::UnitScale;
use vbd_net::graph::{Graph, Node, TensorSlot, WeightSpec};
use vbd_net::ops::{NodeTensors, Plain};
use vbd_net::spec::NetSpec;

use super::nets::NamedTensors;

/// A network with its tensors by name.
pub(crate) struct Reference<'a> {
    spec: &'a NetSpec,
    graph: Graph,
    tensors: BTreeMap<&'a str, &'a [f32]>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(spec: &'a NetSpec, tensors: &'a NamedTensors) -> Self {
        let named = tensors.iter();
        Self {
            spec,
            graph: spec.resolve().unwrap(),
            tensors: named
                .map(|(name, values)| (&name[..], &values[..]))
                .collect(),
        }
    }

    /// Computes the outputs of a normalised sample.
    pub(crate) fn outputs(&self, sample: &[f32]) -> Vec<f32> {
        let mut values: Vec<Vec<f32>> = Vec::new();
        for (id, node) in self.graph.nodes() {
            let Some(layer) = self.graph.layer(id, self.spec) else {
                values.push(sample.to_vec());
                continue;
            };
            let inputs: Vec<Plain<'_>> = node
                .inputs
                .iter()
                .map(|input| Plain {
                    values: &values[input.index()],
                    shape: self.graph.node(*input).shape,
                })
                .collect();
            let tensor = |what: &str| self.tensors[&format!("{}.{what}", node.label)[..]];
            let own = match node.slot {
                TensorSlot::Weight(weight) => {
                    let weight = &self.graph.weights()[weight];
                    self.weight(node, weight, inputs[0].values)
                }
                TensorSlot::Norm(norm) => {
                    let eps = self.graph.norms()[norm].eps;
                    let area = node.shape.area();
                    let of = |what, unit: usize| f64::from(tensor(what)[unit]);
                    let value = |(place, &x): (usize, &f32)| {
                        let unit = place / area;
                        let spread = (of("running_var", unit) + eps).sqrt();
                        let x = (f64::from(x) - of("running_mean", unit)) / spread;
                        rounded(x * of("weight", unit) + of("bias", unit))
                    };
                    inputs[0].values.iter().enumerate().map(value).collect()
                }
                TensorSlot::Nothing => {
                    layer
                        .kind()
                        .plain(&inputs, NodeTensors::Nothing, node.shape)
                }
                TensorSlot::Index(_) => {
                    let index: Vec<u32> = (0..)
                        .zip(0..inputs[0].shape.units())
                        .filter(|(_, unit)| tensor("index").contains(&(*unit as f32)))
                        .map(|(number, _)| number)
                        .collect();
                    layer
                        .kind()
                        .plain(&inputs, NodeTensors::Index(&index), node.shape)
                }
                TensorSlot::Scale(_) => {
                    let scale = UnitScale {
                        name: node.label.clone(),
                        weight: tensor("weight").to_vec(),
                        bias: tensor("bias").to_vec(),
                    };
                    layer
                        .kind()
                        .plain(&inputs, NodeTensors::Scale(&scale), node.shape)
                }
            };
            values.push(own);
        }
        values.pop().unwrap()
    }

    /// `y[row, position] = sum of w[row, input, place] x[first + input, window at position] + b`.
    fn weight(&self, node: &Node, weight: &WeightSpec, x: &[f32]) -> Vec<f32> {
        let values = self.tensors[&format!("{}.weight", weight.layer)[..]];
        let bias = self.tensors.get(&format!("{}.bias", weight.layer)[..]);
        let area = node
            .window
            .map_or(1, |window| window.input[0] * window.input[1]);
        let read = |position: usize, place: usize| match node.window {
            Some(window) => window.input_at(position, place),
            None => Some(0),
        };
        let mut y = Vec::new();
        for row in 0..weight.rows() {
            let first = weight.first_input(row);
            for position in 0..weight.positions {
                let mut sum = bias.map_or(0.0, |bias| f64::from(bias[row]));
                for col in 0..weight.cols() {
                    let (input, place) = (first + col / weight.taps(), col % weight.taps());
                    if let Some(at) = read(position, place) {
                        let value = f64::from(values[row * weight.cols() + col]);
                        sum += value * f64::from(x[input * area + at]);
                    }
                }
                y.push(rounded(sum));
            }
        }
        y
    }
}

#[allow(clippy::cast_possible_truncation, reason = "values are f32")]
fn rounded(value: f64) -> f32 {
    value as f32
}
