//! Structure of a net: units of the original and of the shrunk net.

use serde::Serialize;
use vbd_net::graph::{Graph, INPUT, NodeId, TensorSlot, WeightSpec};
use vbd_net::ops::Units;

use crate::error::Result;
use vbd_net::PrunedNet;

/// Units, parameters and multiply-adds of the original and the shrunk net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Structure {
    /// Units at each position of the network, excluding outputs.
    pub units: Vec<UnitCount>,
    /// Whether the net is already shrunk.
    pub is_made: bool,
    /// Weights and biases of the original net.
    pub parameters_before: usize,
    /// Weights and biases of the shrunk net, including zeros.
    pub parameters_after: usize,
    /// Multiply-adds per sample of the original dense net.
    pub multiply_adds_before: usize,
    /// Multiply-adds per sample of the shrunk net, dense.
    pub multiply_adds_after: usize,
}

/// Units at one position of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitCount {
    /// `input`, `flatten`, or the layer of the features or channels.
    pub name: String,
    /// Units of the original net.
    pub units: usize,
    /// Kept units; at least one per layer.
    pub kept: usize,
}

impl Structure {
    /// Computes the structure of a net, shrunk or not.
    ///
    /// # Errors
    /// None for a net created by this crate.
    pub fn of(net: &PrunedNet) -> Result<Self> {
        let shrunk = net.shrunk()?;
        let (before, after) = (net.original().resolve()?, shrunk.graph());
        Ok(Self {
            is_made: net.is_shrunk(),
            units: units(&before, after),
            parameters_before: parameters(&before),
            parameters_after: parameters(after),
            multiply_adds_before: multiply_adds(&before),
            multiply_adds_after: multiply_adds(after),
        })
    }
}

/// Counts the input units of each weight, and the outputs of each but the last.
fn units(before: &Graph, after: &Graph) -> Vec<UnitCount> {
    let mut units = Vec::new();
    let mut count = |name: &str, all, kept| {
        units.push(UnitCount {
            name: name.to_owned(),
            units: all,
            kept,
        });
    };
    let last = before.weights().len().saturating_sub(1);
    for (number, (all, kept)) in before.weights().iter().zip(after.weights()).enumerate() {
        let maker = maker(before, before.node(all.node).inputs[0]);
        if maker == NodeId::INPUT && number == 0 {
            count(INPUT, all.inputs(), kept.inputs());
        } else if maker != NodeId::INPUT && all.inputs() != before.node(maker).shape.units() {
            count("flatten", all.inputs(), kept.inputs());
        }
        if number < last {
            count(&all.layer, all.rows(), kept.rows());
        }
    }
    units
}

/// Returns the weight, sum or input that produces a node's units.
fn maker(graph: &Graph, id: NodeId) -> NodeId {
    let node = graph.node(id);
    match node.units {
        None | Some(Units::Mixes | Units::Ties) => id,
        Some(Units::Same | Units::PerUnit | Units::Flatten | Units::Picks) => {
            maker(graph, node.inputs[0])
        }
    }
}

fn parameters(graph: &Graph) -> usize {
    let weights = graph.weights().iter();
    let biases = |weight: &WeightSpec| if weight.has_bias { weight.rows() } else { 0 };
    let weights = weights.map(|weight| weight.numel() + biases(weight));
    let scales = graph
        .nodes()
        .filter(|(_, node)| matches!(node.slot, TensorSlot::Scale(_)));
    let scales = scales.map(|(_, node)| 2 * node.shape.units());
    weights.chain(scales).sum()
}

fn multiply_adds(graph: &Graph) -> usize {
    let weights = graph.weights().iter();
    let sums = weights.map(|weight| weight.numel() * weight.positions);
    // The original network in an untrusted file may be arbitrary.
    sums.fold(0, usize::saturating_add)
}
