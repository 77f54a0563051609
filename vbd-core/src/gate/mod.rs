//! Positions of a method's gates in a network, and the weights that depend on their units.
//!
//! A gate multiplies every unit after a layer by `theta + sigma eps` (Liu et al. 2019, eq. 19). A
//! unit is a feature, or a channel of an image. The gate follows the layer's activation and
//! pooling, so the next layers with a weight read its output, and theta folds into the columns of
//! their weights.

mod bernoulli;
mod gaussian;
mod keys;
mod kind;
mod noise;
mod normal;

use std::sync::Arc;

pub(crate) use kind::Definition;
pub use kind::GateKind;
pub(crate) use noise::GateNoise;
use vbd_net::graph::{Graph, INPUT, NodeId, TensorSlot};
use vbd_net::ops::Units;
use vbd_net::spec::NetSpec;

use crate::error::Result;
use crate::method::WeightMethod;
use crate::recipe::{GateSetting, Method};
use crate::weight::GateParameters;

/// A gate of a method at its position in a network.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Position: `input`, `flatten`, or a layer's name.
    pub after: String,
    /// Number of features or channels.
    pub units: usize,
    /// Values per unit: 1, or the positions of a channel.
    pub area: usize,
    /// Setting in the recipe.
    pub setting: GateSetting,
    /// Method on its units, as a weight of shape `[units]`; `None` if nothing is learned.
    pub method: Option<Arc<dyn WeightMethod>>,
    /// Whether it prunes units. Otherwise it is noise that is absent at test time.
    pub prunes: bool,
    noise: Arc<dyn GateNoise>,
    /// Node whose values it multiplies, for all consumers.
    pub node: NodeId,
    /// Number of the weight whose rows are the units, if the gate is its only consumer.
    pub producer: Option<usize>,
    /// Weights whose columns read the units.
    pub readers: Vec<Reader>,
    /// Whether these weights are the only consumers, so that theta folds into their columns.
    pub folds: bool,
    /// Whether the units can be left out of producer and readers: the gate folds, no weight has
    /// groups, and no batch normalisation lies between.
    pub(crate) narrows: bool,
}

/// A weight that reads the units of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Number of the weight.
    pub weight: usize,
    /// Columns per unit: the unit's values, or the taps of a kernel.
    pub columns: usize,
    /// Rows of a group of channels, which read the units of that group; all rows without groups.
    pub group_rows: usize,
    /// Units of a group.
    pub group_units: usize,
}

impl Reader {
    /// Returns the unit that a column of a row reads.
    pub(crate) fn unit(self, row: usize, column: usize) -> usize {
        row / self.group_rows * self.group_units + column / self.columns
    }
}

impl Gate {
    /// Returns the noise.
    pub(crate) fn noise(&self) -> &Arc<dyn GateNoise> {
        &self.noise
    }

    /// Returns the threshold of `log_alpha` at which units die, if any.
    pub fn log_alpha_threshold(&self) -> Option<f32> {
        let method = self.method.as_ref().filter(|_| self.prunes);
        method.and_then(|method| method.log_alpha_threshold())
    }

    /// Returns the `log_alpha` of each unit's factor; `None` if the gate has no posterior.
    pub fn log_alpha(&self, parameters: &GateParameters) -> Option<Vec<f64>> {
        let method = self.method.as_ref()?;
        method.log_alpha(parameters.units.view())
    }

    /// Returns the gate with another threshold, if it has one.
    #[must_use]
    pub fn with_threshold(mut self, log_alpha_threshold: f32) -> Self {
        if let Some(method) = self.method.as_ref().filter(|_| self.prunes) {
            self.method = method.with_threshold(log_alpha_threshold);
        }
        self
    }

    /// Returns the gates of a method in network order.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if a gate's position does not exist, is after the last layer, or
    /// already has a gate; those of [`NetSpec::resolve`].
    pub fn all(spec: &NetSpec, method: &Method) -> Result<Vec<Self>> {
        let graph = spec.resolve()?;
        let mut gates = Vec::new();
        for setting in &method.gates {
            gates.push(Self::new(spec, &graph, method, setting)?);
        }
        gates.sort_by_key(|gate| gate.node);
        for pair in gates.windows(2) {
            if pair[0].node == pair[1].node {
                let after = &pair[1].after;
                return Err(spec.problem(after, "duplicate gate").into());
            }
        }
        Ok(gates)
    }

    fn new(spec: &NetSpec, graph: &Graph, method: &Method, setting: &GateSetting) -> Result<Self> {
        let after = &setting.after;
        let start = find(graph, after).ok_or_else(|| {
            let known = known(graph).join("`, `");
            let problem = format!("not a position for a gate: expected one of `{known}`");
            spec.problem(after, problem)
        })?;
        let node = after_activation(graph, start);
        let all = graph.readers(node);
        if all.is_empty() {
            let problem = "gates after the last layer are not allowed: they would prune outputs";
            return Err(spec.problem(after, problem).into());
        }
        let shape = graph.node(node).shape;
        let folds = all.iter().all(|&reader| graph.weight(reader).is_some());
        // A gate that cannot be folded becomes a scale with one factor per channel.
        let (units, area) = if node == NodeId::INPUT && graph.is_read_flat(node) && folds {
            (shape.len(), 1)
        } else {
            (shape.units(), shape.area())
        };
        let readers = all.iter().filter_map(|&reader| {
            let weight = graph.weight(reader)?;
            Some(Reader {
                weight: graph.weight_number(reader)?,
                columns: weight.cols() * weight.groups / units,
                group_rows: weight.rows() / weight.groups,
                group_units: units / weight.groups,
            })
        });
        let readers: Vec<Reader> = readers.collect();
        let noise: Arc<dyn GateNoise> = setting.noise(method).into();
        Ok(Self {
            after: after.clone(),
            units,
            area,
            setting: setting.clone(),
            method: noise.posterior().map(|posterior| Arc::new(posterior) as _),
            prunes: noise.prunes(),
            noise,
            node,
            producer: graph.weight_number(start),
            narrows: folds && narrows(graph, start, node, &all),
            folds,
            readers,
        })
    }
}

/// Returns whether no weight that makes or reads the units has groups, and no batch normalisation
/// lies between producer and gate.
fn narrows(graph: &Graph, start: NodeId, gate: NodeId, readers: &[NodeId]) -> bool {
    let mixes_all = |&node: &NodeId| graph.weight(node).is_none_or(|weight| weight.groups == 1);
    let is_norm = |node: NodeId| matches!(graph.node(node).slot, TensorSlot::Norm(_));
    let mut between = std::iter::successors(Some(gate), |&node| {
        let input = graph.node(node).inputs.first().copied();
        input.filter(|_| node != start)
    });
    readers.iter().chain([&start]).all(mixes_all) && !between.any(is_norm)
}

/// Returns the node that a gate is `after`; `flatten` must be unique.
fn find(graph: &Graph, after: &str) -> Option<NodeId> {
    if after == "flatten" {
        let mut flattens = flattens(graph);
        return flattens.next().filter(|_| flattens.next().is_none());
    }
    let mut nodes = graph.nodes();
    let node = nodes.find(|(_, node)| node.label == after);
    node.map(|(id, _)| id)
}

fn flattens(graph: &Graph) -> impl Iterator<Item = NodeId> {
    let flattens = graph
        .nodes()
        .filter(|(_, node)| node.units == Some(Units::Flatten));
    flattens.map(|(id, _)| id)
}

/// Returns the node after the activation and pooling that are the only consumers of `start`. For
/// the input this is the input itself.
pub(crate) fn after_activation(graph: &Graph, start: NodeId) -> NodeId {
    let mut node = start;
    while node != NodeId::INPUT
        && let Some(next) = graph.sole_consumer(node)
        && let Some(Units::Same | Units::PerUnit) = graph.node(next).units
    {
        node = next;
    }
    node
}

/// Returns the possible positions of gates.
fn known(graph: &Graph) -> Vec<&str> {
    let mut names = vec![INPUT];
    let named = graph.nodes().filter(|&(id, node)| {
        let is_place = matches!(node.units, Some(Units::Mixes | Units::Ties));
        is_place && !graph.readers(after_activation(graph, id)).is_empty()
    });
    names.extend(named.map(|(_, node)| node.label.as_str()));
    if flattens(graph).count() == 1 {
        names.push("flatten");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::NetToml;
    use crate::recipe::Recipe;

    const CONV: &str = "name = 'n'\ninput = [2, 8, 8]\nclasses = 3\n\
        [[layer]]\nkind = 'conv2d'\nname = 'conv1'\nout_channels = 4\nkernel = 3\n\
        [[layer]]\nkind = 'relu'\n[[layer]]\nkind = 'max_pool2d'\nkernel = 2\n\
        [[layer]]\nkind = 'flatten'\n\
        [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 5\n[[layer]]\nkind = 'relu'\n\
        [[layer]]\nkind = 'linear'\nname = 'fc2'\nout_features = 3\n";

    fn gates(net: &str, after: &[&str]) -> Result<Vec<Gate>> {
        let gates = after
            .iter()
            .map(|after| format!("[[method.gate]]\nafter = '{after}'\n"));
        let text = format!("summary = ''\n[method]\nkind = 'dense'\n{}", {
            gates.collect::<String>()
        });
        let recipe = Recipe::from_toml(&text, "r").unwrap();
        Gate::all(&NetSpec::from_toml(net, "n").unwrap(), &recipe.method)
    }

    #[test]
    fn gates_follow_activation_and_pooling_in_network_order() {
        let gates = gates(CONV, &["fc1", "flatten", "input", "conv1"]).unwrap();
        let found = gates.iter().map(|gate| {
            let [reader] = gate.readers[..] else {
                panic!("{gate:?}")
            };
            assert!(gate.folds);
            let place = gate.node.index();
            let numbers = [gate.units, gate.area, place, reader.weight, reader.columns];
            (gate.after.as_str(), numbers, gate.producer)
        });
        let expected = [
            ("input", [2, 64, 0, 0, 9], None),
            ("conv1", [4, 9, 3, 1, 9], Some(0)),
            ("flatten", [36, 1, 4, 1, 1], None),
            ("fc1", [5, 1, 6, 2, 1], Some(1)),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_image_that_a_linear_layer_reads_has_a_unit_a_pixel() {
        let net = "name = 'n'\ninput = [1, 3, 3]\nclasses = 2\n\
            [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2\n";
        let gates = gates(net, &["input"]).unwrap();
        assert_eq!((gates[0].units, gates[0].area), (9, 1));
    }

    #[test]
    fn a_gate_without_a_position_is_refused_and_the_positions_are_named() {
        let error = |after: &[&str]| gates(CONV, after).unwrap_err().to_string();
        assert!(error(&["fc9"]).contains("`fc1`"), "{}", error(&["fc9"]));
        assert!(error(&["fc2"]).contains("last layer"));
        assert!(error(&["fc1", "fc1"]).contains("duplicate gate"));
        let relu = "[[layer]]\nkind = 'relu'\n";
        let flatten = "[[layer]]\nkind = 'flatten'\n";
        let net = CONV.replace(flatten, &format!("{flatten}{relu}"));
        // Its theta may be negative, and cannot fold through the ReLU that reads it.
        let before = gates(&net, &["conv1"]).unwrap();
        assert!(!before[0].folds && before[0].readers.is_empty());
        let gates = gates(&net, &["flatten"]).unwrap();
        assert_eq!((gates[0].node.index(), gates[0].units), (5, 36));
    }
}
