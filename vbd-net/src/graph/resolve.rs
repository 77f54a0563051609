//! Resolves a network's layers into a graph.

use std::collections::HashMap;

use super::{
    Graph, INPUT, MAX_ACTIVATION, Node, NodeId, NormSpec, Shape, TensorSlot, WeightSpec,
    checked_len,
};
use crate::error::Result;
use crate::ops::{Kind, RequiredTensors};
use crate::spec::{LayerSpec, Loss, NetSpec, Target};

/// Maximum number of layers, because the layers of untrusted files are traversed often.
const MOST_LAYERS: usize = 1 << 12;

impl NetSpec {
    /// Resolves the network.
    ///
    /// # Errors
    /// [`Error::Spec`](crate::Error::Spec), naming the layer, if an input does not exist, the
    /// output has no consumer, a size is invalid, a name is duplicate or not a valid tensor prefix,
    /// the last layer does not match the loss, or a size exceeds [`MAX_ACTIVATION`] or
    /// [`MAX_TENSOR`](super::MAX_TENSOR); naming the field if `classes`, `loss` and `target`
    /// contradict each other.
    pub fn resolve(&self) -> Result<Graph> {
        let input = Node {
            label: INPUT.to_owned(),
            layer: None,
            inputs: Vec::new(),
            shape: self.input_shape()?,
            units: None,
            slot: TensorSlot::Nothing,
            window: None,
        };
        if self.layers.len() > MOST_LAYERS {
            let found = self.layers.len();
            let problem = format!("{found} layers: expected up to {MOST_LAYERS}");
            return Err(self.problem("layer", problem));
        }
        let mut graph = Graph {
            nodes: vec![input],
            consumers: vec![Vec::new()],
            weights: Vec::new(),
            norms: Vec::new(),
            indices: 0,
            scales: 0,
        };
        let mut names = HashMap::from([(INPUT, NodeId::INPUT)]);
        for (index, layer) in self.layers.iter().enumerate() {
            let kind = layer.kind();
            let id = graph.of_layer(index);
            let inputs = self.inputs_of(index, &names)?;
            if let Some(name) = kind.name() {
                self.check_name(name)?;
                if names.insert(name, id).is_some() {
                    return Err(self.problem(name, "duplicate layer name"));
                }
            }
            let label = label(layer, index);
            let shapes: Vec<Shape> = inputs
                .iter()
                .map(|input| graph.node(*input).shape)
                .collect();
            let shape = kind
                .output(&shapes)
                .map_err(|problem| self.problem(&label, problem))?;
            let window = kind
                .window(&shapes)
                .map_err(|problem| self.problem(&label, problem))?;
            for input in &inputs {
                graph.consumers[input.0].push(id);
            }
            graph.consumers.push(Vec::new());
            let slot = graph.number(kind, &shapes, shape, id);
            graph.nodes.push(Node {
                label,
                layer: Some(index),
                inputs,
                shape,
                units: Some(kind.units()),
                slot,
                window,
            });
        }
        self.check_output(&graph)?;
        Ok(graph)
    }

    /// Returns the weights of the network in layer order.
    ///
    /// # Errors
    /// Those of [`NetSpec::resolve`].
    pub fn weights(&self) -> Result<Vec<WeightSpec>> {
        Ok(self.resolve()?.weights)
    }

    /// Returns the inputs of the layer at `index`.
    fn inputs_of(&self, index: usize, names: &HashMap<&str, NodeId>) -> Result<Vec<NodeId>> {
        let layer = &self.layers[index];
        let reads = layer.kind().reads().into_iter();
        let inputs = reads.map(|name| match name {
            None => Ok(NodeId(index)),
            Some(name) => names.get(name).copied().ok_or_else(|| {
                let mut known: Vec<String> = names.keys().map(|name| format!("`{name}`")).collect();
                known.sort_unstable();
                let known = known.join(", ");
                let problem = format!(
                    "reads `{name}`, which is not an earlier layer: expected one of {known}"
                );
                self.problem(&label(layer, index), problem)
            }),
        });
        inputs.collect()
    }

    fn input_shape(&self) -> Result<Shape> {
        let shape = match self.input[..] {
            [features] => Shape::Features(features),
            [channels, height, width] => Shape::Image {
                channels,
                height,
                width,
            },
            _ => {
                return Err(
                    self.problem("input", "expected [channels, height, width] or [features]")
                );
            }
        };
        checked_len(&self.input, MAX_ACTIVATION)
            .map_err(|problem| self.problem("input", problem))?;
        self.normalize
            .check(shape)
            .map_err(|problem| self.problem("normalize", problem))?;
        Ok(shape)
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            let problem = "layer names must be 1 to 64 letters, digits, `_` or `-`";
            return Err(self.problem(name, problem));
        }
        if matches!(name, "normalize" | "gate" | INPUT | "flatten") {
            return Err(self.problem(name, "reserved name"));
        }
        Ok(())
    }

    fn check_output(&self, graph: &Graph) -> Result<()> {
        self.check_loss()?;
        if graph.weights.is_empty() {
            return Err(self.problem("layer", "network has no linear or conv2d layer"));
        }
        let output = graph.output();
        for (id, node) in graph.nodes() {
            if graph.consumers(id).is_empty() && id != output {
                return Err(self.problem(&node.label, "output is not used by any layer"));
            }
        }
        let last = graph.node(output);
        let problem = match self.loss {
            Loss::CrossEntropy if last.shape == Shape::Features(self.output_len()) => return Ok(()),
            Loss::Mse if last.shape.len() == self.output_len() => return Ok(()),
            Loss::CrossEntropy => format!(
                "last layer has output shape {:?}, but `classes` is {}",
                last.shape.dims(),
                self.output_len()
            ),
            Loss::Mse => format!(
                "last layer has output shape {:?}, but the target (the input) has {:?}",
                last.shape.dims(),
                self.input
            ),
        };
        Err(self.problem(&last.label, problem))
    }

    /// Checks that `classes`, `loss` and `target` are consistent.
    fn check_loss(&self) -> Result<()> {
        match (self.loss, self.classes, self.target) {
            (Loss::CrossEntropy, None, _) => Err(self.problem(
                "classes",
                "missing: expected 1 to 2^24 classes, or `loss = \"mse\"` and `target = \"input\"`",
            )),
            (Loss::CrossEntropy, _, Some(_)) => Err(self.problem(
                "target",
                "only allowed with `loss = \"mse\"`: cross-entropy uses labels",
            )),
            (Loss::CrossEntropy, Some(1..=MAX_ACTIVATION), None)
            | (Loss::Mse, None, Some(Target::Input)) => Ok(()),
            (Loss::CrossEntropy, ..) => Err(self.problem("classes", "expected 1 to 2^24 classes")),
            (Loss::Mse, Some(_), _) => {
                Err(self.problem("classes", "not allowed with `loss = \"mse\"`"))
            }
            (Loss::Mse, None, None) => Err(self.problem(
                "target",
                "missing: `loss = \"mse\"` needs `target = \"input\"`",
            )),
        }
    }
}

impl Graph {
    /// Assigns numbers to a layer's tensors.
    fn number(
        &mut self,
        kind: &dyn Kind,
        inputs: &[Shape],
        output: Shape,
        node: NodeId,
    ) -> TensorSlot {
        match kind.needs(inputs) {
            RequiredTensors::Nothing => TensorSlot::Nothing,
            RequiredTensors::Weight {
                kind: layer_kind,
                shape,
                groups,
                has_bias,
            } => {
                self.weights.push(WeightSpec {
                    layer: kind.name().unwrap_or_default().to_owned(),
                    kind: layer_kind,
                    shape,
                    groups,
                    has_bias,
                    node,
                    positions: output.area(),
                });
                TensorSlot::Weight(self.weights.len() - 1)
            }
            RequiredTensors::Norm { eps, momentum } => {
                self.norms.push(NormSpec {
                    layer: kind.name().unwrap_or_default().to_owned(),
                    node,
                    units: output.units(),
                    area: output.area(),
                    eps,
                    momentum,
                });
                TensorSlot::Norm(self.norms.len() - 1)
            }
            RequiredTensors::Index => {
                self.indices += 1;
                TensorSlot::Index(self.indices - 1)
            }
            RequiredTensors::Scale => {
                self.scales += 1;
                TensorSlot::Scale(self.scales - 1)
            }
        }
    }
}

/// Returns the label of a layer in errors: its name, or its kind and number.
fn label(layer: &LayerSpec, index: usize) -> String {
    let kind = layer.kind();
    kind.name().map_or_else(
        || format!("{} (layer {})", kind.word(), index + 1),
        str::to_owned,
    )
}
