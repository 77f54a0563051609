//! A resolved network: layers as nodes with their inputs, consumers and shapes.
//!
//! [`NetSpec::resolve`] computes the graph once. A layer reads layers listed above it, so nodes are
//! in topological order. Node 0 is the network's input, the last node its output.

mod resolve;
mod rewire;
mod shape;
#[cfg(test)]
mod tests;
mod window;

pub use rewire::{Rewiring, Source};
pub use shape::{MAX_ACTIVATION, MAX_TENSOR, Shape};
pub(crate) use shape::{checked_len, image, image_of};
pub use window::Window;

use crate::ops::Units;
use crate::spec::{LayerKind, LayerSpec, NetSpec};

/// Name of the network's input.
pub const INPUT: &str = "input";

/// Identifier of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    /// Identifier of the network's input.
    pub const INPUT: Self = Self(0);

    /// Returns the node's index.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Tensors of a layer: the number of its weight, index or scale among all of that sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorSlot {
    /// No tensors.
    Nothing,
    /// A weight and its bias.
    Weight(usize),
    /// Index of a selection.
    Index(usize),
    /// Factors and shifts of a scale.
    Scale(usize),
    /// Factors, shifts and running statistics of a batch normalisation.
    Norm(usize),
}

/// The network's input, or a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Label in errors: the layer's name, or its kind and number.
    pub label: String,
    /// Index of the layer in [`NetSpec::layers`]; `None` for the input.
    pub layer: Option<usize>,
    /// Inputs, in the order defined by the kind.
    pub inputs: Vec<NodeId>,
    /// Output shape.
    pub shape: Shape,
    /// How its units depend on those of its inputs; `None` for the network's input.
    pub units: Option<Units>,
    /// Tensors of the layer.
    pub slot: TensorSlot,
    /// Window of a convolution or a pooling.
    pub window: Option<Window>,
}

/// A weight of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSpec {
    /// Name of the layer.
    pub layer: String,
    /// Kind of the layer.
    pub kind: LayerKind,
    /// `[out, in]`, or `[out, in / groups, rows, columns]`.
    pub shape: Vec<usize>,
    /// Number of groups of channels that do not mix: the input channels of a row are those of its
    /// group.
    pub groups: usize,
    /// Whether the layer has a bias.
    pub has_bias: bool,
    /// Node of the layer.
    pub node: NodeId,
    /// Number of output positions; 1 for a linear layer.
    pub positions: usize,
}

impl WeightSpec {
    /// Returns the number of entries.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the number of outputs: rows of the weight and length of the bias.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// Returns the number of entries per row: the fan-in of one output.
    pub fn cols(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Returns the number of entries per row and input unit: 1, or the places of a kernel.
    pub fn taps(&self) -> usize {
        self.shape[2..].iter().product()
    }

    /// Returns the number of input units: features or channels.
    pub fn inputs(&self) -> usize {
        self.shape[1] * self.groups
    }

    /// Returns the first input unit of a row's group.
    pub fn first_input(&self, row: usize) -> usize {
        row / (self.rows() / self.groups) * self.shape[1]
    }
}

/// A batch normalisation of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSpec {
    /// Name of the layer.
    pub layer: String,
    /// Node of the layer.
    pub node: NodeId,
    /// Number of features or channels.
    pub units: usize,
    /// Number of values per unit: 1, or the positions of a channel.
    pub area: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Share of a batch in the running statistics.
    pub momentum: f64,
}

/// The nodes of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    consumers: Vec<Vec<NodeId>>,
    weights: Vec<WeightSpec>,
    norms: Vec<NormSpec>,
    indices: usize,
    scales: usize,
}

impl Graph {
    /// Iterates over the nodes. Each node follows its inputs.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        let nodes = self.nodes.iter().enumerate();
        nodes.map(|(index, node)| (NodeId(index), node))
    }

    /// Returns a node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Returns the node of the layer at an index of [`NetSpec::layers`].
    pub fn of_layer(&self, layer: usize) -> NodeId {
        NodeId(layer + 1)
    }

    /// Returns the output node.
    pub fn output(&self) -> NodeId {
        NodeId(self.nodes.len() - 1)
    }

    /// Returns the consumers of a node, with repetitions.
    pub fn consumers(&self, id: NodeId) -> &[NodeId] {
        &self.consumers[id.0]
    }

    /// Returns the consumer of a node if there is exactly one.
    pub fn sole_consumer(&self, id: NodeId) -> Option<NodeId> {
        match self.consumers[id.0][..] {
            [consumer] => Some(consumer),
            _ => None,
        }
    }

    /// Returns the weights in layer order.
    pub fn weights(&self) -> &[WeightSpec] {
        &self.weights
    }

    /// Returns the batch normalisations in layer order.
    pub fn norms(&self) -> &[NormSpec] {
        &self.norms
    }

    /// Returns the number of selections.
    pub fn indices(&self) -> usize {
        self.indices
    }

    /// Returns the number of scales.
    pub fn scales(&self) -> usize {
        self.scales
    }

    /// Returns the weight of a node, if any.
    pub fn weight(&self, id: NodeId) -> Option<&WeightSpec> {
        self.weights.get(self.weight_number(id)?)
    }

    /// Returns the number of a node's weight, if any.
    pub fn weight_number(&self, id: NodeId) -> Option<usize> {
        match self.nodes[id.0].slot {
            TensorSlot::Weight(weight) => Some(weight),
            _ => None,
        }
    }

    /// Returns the layer of a node; `None` for the input.
    pub fn layer<'a>(&self, id: NodeId, spec: &'a NetSpec) -> Option<&'a LayerSpec> {
        spec.layers.get(self.nodes[id.0].layer?)
    }

    /// Returns the consumers of a node, directly or through flatten and select layers.
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

    /// Returns whether only weights read a node, directly or through flatten, select and activation
    /// layers.
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

    /// Returns whether a node's image is read as single values instead of channels.
    pub fn is_read_flat(&self, id: NodeId) -> bool {
        let mut consumers = self.consumers(id).iter();
        consumers.all(|&consumer| {
            self.nodes[consumer.0].units == Some(Units::Flatten) || self.is_linear(consumer)
        })
    }

    /// Returns whether only linear layers read the input, directly or through flatten and select
    /// layers. A shift of the input is then a shift of their biases, and zero pixels can be
    /// skipped.
    pub fn starts_linear(&self) -> bool {
        let readers = self.readers(NodeId::INPUT);
        readers.iter().all(|&reader| self.is_linear(reader))
    }

    /// Returns whether a node is a linear layer.
    pub fn is_linear(&self, id: NodeId) -> bool {
        let weight = self.weight(id);
        weight.is_some_and(|weight| weight.kind == LayerKind::Linear)
    }
}
