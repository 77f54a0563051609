//! What is left of a net's units: of the net as it was, and of the smaller one without those that nothing
//! needs.

use serde::Serialize;
use vbd_net::graph::{Graph, INPUT, NodeId, Owns};
use vbd_net::ops::Units;

use crate::error::Result;
use vbd_net::PrunedNet;

/// Units, parameters and multiply-adds before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Structure {
    /// Unit by unit of the network, its classes excluded.
    pub units: Vec<UnitCount>,
    /// Whether the net is the smaller one already.
    pub is_made: bool,
    /// Weights and biases of the net as it was.
    pub parameters_before: usize,
    /// Those of the smaller net, zeros too.
    pub parameters_after: usize,
    /// Multiply-adds a sample of the dense net as it was.
    pub multiply_adds_before: usize,
    /// Those of the smaller net, dense too.
    pub multiply_adds_after: usize,
}

/// Units of one place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitCount {
    /// `input`, `flatten`, or the layer whose features or channels they are.
    pub name: String,
    /// Units of the net as it was.
    pub units: usize,
    /// Those that are needed, or the one that a layer keeps where none is.
    pub kept: usize,
}

impl Structure {
    /// The structure of a net, made smaller already or not.
    ///
    /// # Errors
    /// None of a net that was read or made by this crate.
    pub fn of(net: &PrunedNet) -> Result<Self> {
        let smaller = net.smaller()?;
        let (before, after) = (net.before().resolve()?, smaller.graph());
        Ok(Self {
            is_made: net.is_smaller(),
            units: units(&before, after),
            parameters_before: parameters(&before),
            parameters_after: parameters(after),
            multiply_adds_before: multiply_adds(&before),
            multiply_adds_after: multiply_adds(after),
        })
    }
}

/// The units that go into each weight, and those that come out of each but the last.
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
            count(INPUT, all.shape[1], kept.shape[1]);
        } else if maker != NodeId::INPUT && all.shape[1] != before.node(maker).shape.units() {
            count("flatten", all.shape[1], kept.shape[1]);
        }
        if number < last {
            count(&all.layer, all.rows(), kept.rows());
        }
    }
    units
}

/// The weight, the sum or the input that a node's units are made by.
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
    let weights = weights.map(|weight| weight.numel() + weight.rows());
    let scales = graph
        .nodes()
        .filter(|(_, node)| matches!(node.owns, Owns::Scale(_)));
    let scales = scales.map(|(_, node)| 2 * node.shape.units());
    weights.chain(scales).sum()
}

fn multiply_adds(graph: &Graph) -> usize {
    let weights = graph.weights().iter();
    let sums = weights.map(|weight| weight.numel() * weight.positions);
    // A file may say anything of the net that it was made from.
    sums.fold(0, usize::saturating_add)
}
