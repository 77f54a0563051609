//! Compiles a network and its gates into layers.
//!
//! Plain weights of dead units are not computed: each weight keeps only the rows of live units and
//! the columns that read live units. A weight with a posterior keeps its rows, which index its
//! noise, and drops dead entries one by one (see [`super::form`]).

use vbd_net::graph::{Graph, NodeId, TensorSlot, WeightSpec};
use vbd_net::ops::Units;
use vbd_net::spec::{LayerSpec, NetSpec};

use super::form::Compaction;
use super::gate::CpuGate;
use super::geometry::{TapGeometry, narrow};
use super::gradients::LayerInput;
use super::layer::{CpuLayer, CpuWeight, CpuWeightConfig};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::ops;
use crate::ops::batch_norm::CpuNorm;
use crate::step::Objective;
use crate::weight::{GateParameters, Parameters, Submatrix};

/// A compiled network: layers, each weight with the ReLU after it. Layer `i` computes value `i +
/// 1`.
pub(super) struct Program {
    pub(super) layers: Vec<CpuLayer>,
    /// Input values of each layer.
    pub(super) reads: Vec<Vec<LayerInput>>,
    /// Numbers per sample in each value; the last are the outputs.
    pub(super) units: Vec<usize>,
    /// Input values that are read.
    pub(super) inputs: Vec<u32>,
    /// Live values of each node, after its gate.
    pub(super) nodes: Vec<Flow>,
}

/// Live values between two layers.
#[derive(Clone)]
pub(super) struct Flow {
    /// Live features or channels, increasing.
    units: Vec<u32>,
    /// Values per unit.
    area: usize,
    /// Number of the value.
    pub(super) value: usize,
}

impl Flow {
    fn whole(units: usize, area: usize) -> Self {
        Self {
            units: (0..narrow(units)).collect(),
            area,
            value: 0,
        }
    }

    fn len(&self) -> usize {
        self.units.len() * self.area
    }

    /// Returns the indices of the values in the node.
    pub(super) fn places(&self) -> Vec<u32> {
        self.flat().units
    }

    /// Returns the values with each of them as a unit.
    fn flat(&self) -> Self {
        let area = narrow(self.area);
        let units = self.units.iter();
        Self {
            units: units
                .flat_map(|&unit| unit * area..(unit + 1) * area)
                .collect(),
            area: 1,
            value: self.value,
        }
    }
}

/// Compiles a network with matching parameters and objective.
pub(super) fn compile(
    spec: &NetSpec,
    graph: &Graph,
    objective: &Objective,
    parameters: &Parameters,
    compaction: Compaction,
) -> Result<Program> {
    let mut settings = objective.weights.iter();
    let narrows =
        compaction != Compaction::Never && settings.all(|setting| setting.method.is_plain());
    let gates = objective.gates.iter().zip(&parameters.gates).enumerate();
    let gates = gates.map(|(number, (spec, parameters))| LiveGate {
        number,
        spec,
        parameters,
        units: live_units(spec, parameters, narrows),
    });
    let mut compiler = Compiler {
        spec,
        graph,
        objective,
        parameters,
        compaction,
        gates: gates.collect(),
        nodes: Vec::with_capacity(graph.nodes().len()),
        program: Program {
            layers: Vec::new(),
            reads: Vec::new(),
            units: Vec::new(),
            inputs: Vec::new(),
            nodes: Vec::new(),
        },
    };
    for (id, _) in graph.nodes() {
        let flow = compiler.node(id)?;
        compiler.nodes.push(flow);
        compiler.gate(id)?;
    }
    Ok(Program {
        nodes: compiler.nodes,
        ..compiler.program
    })
}

/// A gate with its live units.
struct LiveGate<'a> {
    number: usize,
    spec: &'a Gate,
    parameters: &'a GateParameters,
    units: Vec<u32>,
}

/// Returns the units of a gate that are computed: live ones, if its weights can drop the others.
fn live_units(gate: &Gate, parameters: &GateParameters, narrows: bool) -> Vec<u32> {
    let narrows = narrows && gate.narrows;
    let units = (0..).zip(parameters.alive());
    let units: Vec<u32> = units
        .filter(|&(_, alive)| alive || !narrows)
        .map(|(unit, _)| unit)
        .collect();
    debug_assert!(units.len() <= gate.units);
    // If all units are dead, one is computed as zeros, since a layer must not be empty.
    let is_first = gate.producer.is_some() || gate.node == NodeId::INPUT;
    if units.is_empty() && is_first {
        vec![0]
    } else {
        units
    }
}

struct Compiler<'a> {
    spec: &'a NetSpec,
    graph: &'a Graph,
    objective: &'a Objective,
    parameters: &'a Parameters,
    compaction: Compaction,
    gates: Vec<LiveGate<'a>>,
    /// Live values of each node so far.
    nodes: Vec<Flow>,
    program: Program,
}

impl Compiler<'_> {
    fn node(&mut self, id: NodeId) -> Result<Flow> {
        let graph = self.graph;
        let node = graph.node(id);
        let Some(layer) = graph.layer(id, self.spec) else {
            return Ok(self.input());
        };
        if !layer.kind().can_train() {
            return Err(cannot_train(self.spec, &node.label));
        }
        let from = node.inputs[0];
        let flow = self.nodes[from.index()].clone();
        match layer.kind().units() {
            Units::Flatten => Ok(flow.flat()),
            // A ReLU that is computed with the layer before it.
            _ if is_fused_relu(self.spec, graph, id) => Ok(flow),
            Units::Mixes => {
                let weight = graph.weight(id).expect("a layer that mixes has a weight");
                Ok(self.weight(id, weight, flow))
            }
            Units::PerUnit if let TensorSlot::Norm(number) = node.slot => {
                let (norm, own) = (&graph.norms()[number], &self.parameters.norms[number]);
                let norm = CpuNorm::new(norm, self.fuses_relu(id), own);
                let inputs = vec![flow.value];
                Ok(self.push(CpuLayer::Norm(Box::new(norm)), inputs, flow))
            }
            Units::Same | Units::PerUnit | Units::Ties | Units::Picks => {
                let plain = ops::plain(layer, node.window, self.fuses_relu(id))
                    .ok_or_else(|| cannot_train(self.spec, &node.label))?;
                let inputs = node
                    .inputs
                    .iter()
                    .map(|input| self.nodes[input.index()].value);
                let inputs = inputs.collect();
                let area = node.shape.area();
                Ok(self.push(CpuLayer::Plain(plain), inputs, Flow { area, ..flow }))
            }
        }
    }

    /// Adds a layer with the output `flow`.
    fn push(&mut self, layer: CpuLayer, inputs: Vec<usize>, flow: Flow) -> Flow {
        let read = |value| LayerInput { value, adds: false };
        self.program.layers.push(layer);
        self.program
            .reads
            .push(inputs.into_iter().map(read).collect());
        self.program.units.push(flow.len());
        Flow {
            value: self.program.layers.len(),
            ..flow
        }
    }

    /// Returns the input: single values if the image is flattened immediately, else channels.
    fn input(&mut self) -> Flow {
        let shape = self.graph.node(NodeId::INPUT).shape;
        let mut gates = self.gates.iter();
        let gate = gates.find(|gate| gate.spec.node == NodeId::INPUT);
        // A gate that cannot be folded has one unit per channel.
        let by_channel = gate.is_some_and(|gate| gate.spec.units == shape.units());
        let mut flow = if self.graph.is_read_flat(NodeId::INPUT) && !by_channel {
            Flow::whole(shape.len(), 1)
        } else {
            Flow::whole(shape.units(), shape.area())
        };
        if let Some(gate) = gate {
            flow.units.clone_from(&gate.units);
        }
        self.program.inputs = flow.flat().units;
        self.program.units.push(flow.len());
        flow
    }

    /// Inserts the gate after a node, if there is one, before all its consumers.
    fn gate(&mut self, id: NodeId) -> Result<()> {
        let Some(LiveGate {
            number,
            spec,
            parameters,
            units,
        }) = self.gates.iter().find(|gate| gate.spec.node == id)
        else {
            return Ok(());
        };
        let flow = &self.nodes[id.index()];
        // If another gate precedes, the remaining unit must be one of its live units.
        let one = &flow.units[..1];
        let units = if units.is_empty() { one } else { &units[..] };
        let source = (*units != flow.units[..]).then(|| places(units, &flow.units));
        let source = source.transpose().map_err(|unit| Error::GatesContradict {
            after: spec.after.clone(),
            unit,
        })?;
        let inputs = vec![flow.value];
        let gated = Flow {
            units: units.to_vec(),
            ..*flow
        };
        let gate = CpuGate::new(spec, *number, units.to_vec(), source, parameters);
        self.nodes[id.index()] = self.push(CpuLayer::Gate(Box::new(gate)), inputs, gated);
        Ok(())
    }

    /// Returns whether the ReLU after a node is computed with it.
    fn fuses_relu(&self, id: NodeId) -> bool {
        let next = self.graph.sole_consumer(id);
        next.is_some_and(|next| is_fused_relu(self.spec, self.graph, next))
    }

    /// Adds a layer with a weight: rows of live units, and columns that read live units.
    fn weight(&mut self, id: NodeId, weight: &WeightSpec, mut flow: Flow) -> Flow {
        let number = self.graph.weight_number(id).unwrap_or_default();
        if self.graph.is_linear(id) {
            flow = flow.flat();
        }
        let mut gates = self.gates.iter();
        let gate = gates.find(|gate| gate.spec.producer == Some(number));
        let rows = gate.map_or_else(
            || Flow::whole(weight.rows(), 1).units,
            |gate| gate.units.clone(),
        );
        let is_whole = rows.len() == weight.rows() && flow.units.len() == weight.inputs();
        let narrow = (!is_whole).then(|| Submatrix::new(&weight.shape, &rows, &flow.units));
        let geometry = TapGeometry::new(self.graph, weight);
        let geometry = geometry.narrowed(rows.len(), flow.units.len());
        let relu = self.fuses_relu(id);
        let reads_pixels = flow.value == 0
            && self.graph.is_linear(id)
            && self.graph.readers(NodeId::INPUT).len() == 1;
        let out = Flow {
            units: rows,
            area: geometry.positions,
            value: flow.value,
        };
        let layer = CpuWeight::new(CpuWeightConfig {
            number,
            name: weight.layer.clone(),
            shape: weight.shape.clone(),
            narrow,
            geometry,
            relu,
            has_bias: weight.has_bias,
            reads_pixels,
            compaction: self.compaction,
            setting: self.objective.weights[number].clone(),
        });
        let inputs = vec![flow.value];
        self.push(CpuLayer::Weight(Box::new(layer)), inputs, out)
    }
}

/// Returns whether a node is a ReLU that is computed with the layer before it, whose only consumer it
/// is.
fn is_fused_relu(spec: &NetSpec, graph: &Graph, id: NodeId) -> bool {
    if !matches!(graph.layer(id, spec), Some(LayerSpec::Relu(_))) {
        return false;
    }
    let before = graph.node(id).inputs[0];
    let slot = graph.node(before).slot;
    let takes_relu = graph.layer(before, spec).is_some_and(ops::takes_relu);
    (takes_relu || matches!(slot, TensorSlot::Weight(_) | TensorSlot::Norm(_)))
        && graph.sole_consumer(before) == Some(id)
}

/// Returns the error for a layer that only pruning writes.
pub(in crate::step) fn cannot_train(spec: &NetSpec, layer: &str) -> Error {
    let problem = "cannot train this kind of layer: it is only written by `vbd prune`";
    spec.problem(layer, problem).into()
}

/// Returns the index of each of `some` in `all`; both increase. The error is the first missing one.
fn places(some: &[u32], all: &[u32]) -> Result<Vec<u32>, u32> {
    let place = |unit: &u32| all.binary_search(unit).map(narrow).map_err(|_| *unit);
    some.iter().map(place).collect()
}
