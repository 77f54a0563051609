//! A network, resolved: its layers as nodes that know what they read, who reads them, and their shapes.
//!
//! [`NetSpec::resolve`] works all of it out once. A layer reads those that are listed above it, so that the
//! nodes are in topological order; number 0 is the network's input, and the last node its output.

mod resolve;
mod rewire;
mod shape;
#[cfg(test)]
mod tests;

pub use rewire::{Rewired, Source};
pub use shape::{MAX_ACTIVATION, MAX_TENSOR, Shape};
pub(crate) use shape::{checked_len, image, image_of};

use crate::ops::Units;
use crate::spec::{LayerKind, LayerSpec, NetSpec};

/// The name by which layers read the network's input.
pub const INPUT: &str = "input";

/// The number of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    /// The network's input.
    pub const INPUT: Self = Self(0);

    /// Its place among the nodes.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a layer has in a net: the number of its weight, index or scale among all of that sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owns {
    /// No tensors.
    Nothing,
    /// A weight and its bias.
    Weight(usize),
    /// The index of a selection.
    Index(usize),
    /// The factors and shifts of a scale.
    Scale(usize),
}

/// The network's input, or a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What errors call it: its name, or its kind and place.
    pub label: String,
    /// Its layer's place in [`NetSpec::layers`]; the input has none.
    pub layer: Option<usize>,
    /// What it reads, in the order of its kind.
    pub inputs: Vec<NodeId>,
    /// The shape of what comes out.
    pub shape: Shape,
    /// How its units depend on those of its inputs; those of the network's input depend on nothing.
    pub units: Option<Units>,
    /// Its tensors.
    pub owns: Owns,
}

/// A weight that a network needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSpec {
    /// Name of its layer.
    pub layer: String,
    /// Kind of its layer.
    pub kind: LayerKind,
    /// `[out, in]`, or `[out, in, kernel, kernel]`.
    pub shape: Vec<usize>,
    /// Its layer's node.
    pub node: NodeId,
    /// Positions of its output: 1 of a linear layer.
    pub positions: usize,
}

impl WeightSpec {
    /// Number of entries.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Outputs: rows of the weight, and the length of its bias.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// Entries a row: the fan-in of one output.
    pub fn cols(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

/// A network's nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<Node>,
    consumers: Vec<Vec<NodeId>>,
    weights: Vec<WeightSpec>,
    indices: usize,
    scales: usize,
}

impl Graph {
    /// The nodes with their numbers, each after all that it reads.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        let nodes = self.nodes.iter().enumerate();
        nodes.map(|(index, node)| (NodeId(index), node))
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The node of the layer at a place of [`NetSpec::layers`].
    pub fn of_layer(&self, layer: usize) -> NodeId {
        NodeId(layer + 1)
    }

    /// The node whose output is the network's.
    pub fn output(&self) -> NodeId {
        NodeId(self.nodes.len() - 1)
    }

    /// Who reads a node: twice, if it does so twice.
    pub fn consumers(&self, id: NodeId) -> &[NodeId] {
        &self.consumers[id.0]
    }

    /// The only one who reads a node, if there is one.
    pub fn sole_consumer(&self, id: NodeId) -> Option<NodeId> {
        match self.consumers[id.0][..] {
            [consumer] => Some(consumer),
            _ => None,
        }
    }

    /// The weights, in the order of their layers.
    pub fn weights(&self) -> &[WeightSpec] {
        &self.weights
    }

    /// How many selections there are.
    pub fn indices(&self) -> usize {
        self.indices
    }

    /// How many scales there are.
    pub fn scales(&self) -> usize {
        self.scales
    }

    /// The weight of a node, if it has one.
    pub fn weight(&self, id: NodeId) -> Option<&WeightSpec> {
        self.weights.get(self.weight_number(id)?)
    }

    /// The number of a node's weight, if it has one.
    pub fn weight_number(&self, id: NodeId) -> Option<usize> {
        match self.nodes[id.0].owns {
            Owns::Weight(weight) => Some(weight),
            _ => None,
        }
    }

    /// The layer of a node; the input has none.
    pub fn layer<'a>(&self, id: NodeId, spec: &'a NetSpec) -> Option<&'a LayerSpec> {
        spec.layers.get(self.nodes[id.0].layer?)
    }

    /// Those that read a node behind flattenings and selections.
    pub fn readers(&self, id: NodeId) -> Vec<NodeId> {
        let mut readers = Vec::new();
        for &consumer in self.consumers(id) {
            match self.nodes[consumer.0].units {
                Some(Units::Flatten | Units::Picks) => readers.extend(self.readers(consumer)),
                _ => readers.push(consumer),
            }
        }
        readers
    }

    /// Whether weights alone read a node, be it behind flattenings, selections and activations.
    pub fn is_read_by_weights(&self, id: NodeId) -> bool {
        let mut consumers = self.consumers(id).iter();
        !consumers.as_slice().is_empty()
            && consumers.all(|&consumer| match self.nodes[consumer.0].units {
                Some(Units::Mixes) => true,
                Some(Units::Flatten | Units::Picks | Units::Same) => {
                    self.is_read_by_weights(consumer)
                }
                _ => false,
            })
    }

    /// Whether a node's image is read as its values, and not as channels.
    pub fn is_read_flat(&self, id: NodeId) -> bool {
        let mut consumers = self.consumers(id).iter();
        consumers.all(|&consumer| {
            self.nodes[consumer.0].units == Some(Units::Flatten) || self.is_linear(consumer)
        })
    }

    /// Whether linear layers alone read the input, behind nothing but flattenings and selections. Then a shift
    /// of the input is a shift of their biases, and zero pixels can be skipped.
    pub fn starts_linear(&self) -> bool {
        let readers = self.readers(NodeId::INPUT);
        readers.iter().all(|&reader| self.is_linear(reader))
    }

    /// Whether a node is a linear layer.
    pub fn is_linear(&self, id: NodeId) -> bool {
        let weight = self.weight(id);
        weight.is_some_and(|weight| weight.kind == LayerKind::Linear)
    }
}
