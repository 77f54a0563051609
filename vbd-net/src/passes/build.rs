//! Turns a graph into steps.

use super::{Computation, Extent, Op, Pixels, PositionMap, Program, Value};
use crate::error::{Error, Result};
use crate::graph::{NodeId, Shape, TensorSlot};
use crate::matrix::SparseMatrix;
use crate::net::{PrunedLayer, PrunedNet};
use crate::ops::conv2d::FUSED_WINDOW;
use crate::ops::{self, NodeTensors, Units};
use crate::spec::LayerSpec;

/// Maximum number of units of flatten and select layers that are copied because other layers than
/// weights read them.
const MOST_COPIED: usize = 1 << 18;

/// Location of a node's values: a step's output, seen through flatten and select layers.
#[derive(Debug, Clone)]
struct View {
    value: Value,
    positions: PositionMap,
    /// Whether it is the step's output unchanged.
    is_whole: bool,
    /// Whether the next node is the only consumer of the step's output.
    is_private: bool,
}

/// What becomes of the groups of convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// A weight is sparse over all inputs.
    Dissolved,
    /// A weight's inputs stay in groups of equal size, so that it cannot read through a selection.
    Kept,
}

struct Builder<'a> {
    net: &'a PrunedNet,
    groups: Groups,
    program: Program,
    /// View of each node so far.
    views: Vec<View>,
    /// Number of copied units of flatten and select layers.
    copied: usize,
}

impl Program {
    /// Builds the complete steps of the layers.
    pub(super) fn build(net: &PrunedNet, groups: Groups) -> Result<Self> {
        let graph = net.graph();
        // If the net starts with linear layers, each input value is a unit.
        let input = if graph.starts_linear() {
            Shape::Features(net.spec().input_len())
        } else {
            graph.node(NodeId::INPUT).shape
        };
        let mut builder = Builder {
            net,
            groups,
            program: Self {
                steps: Vec::new(),
                input: Extent::of(input),
                inputs: Vec::new(),
                pixels: Pixels::Normalised,
            },
            views: Vec::with_capacity(graph.nodes().len()),
            copied: 0,
        };
        for (id, _) in graph.nodes() {
            let view = builder.view(id)?;
            builder.views.push(view);
        }
        Ok(builder.program)
    }
}

impl Builder<'_> {
    fn view(&mut self, id: NodeId) -> Result<View> {
        let graph = self.net.graph();
        let node = graph.node(id);
        let Some(units) = node.units else {
            return Ok(View::whole(0));
        };
        let from = node.inputs[0];
        match (units, self.net.tensors(id)) {
            (Units::Flatten, _) => {
                let mut view = self.view_of(from);
                view.positions.flatten(self.area(view.value));
                self.moved(id, view)
            }
            (Units::Picks, NodeTensors::Index(index)) => {
                let mut view = self.view_of(from);
                view.positions.select(index);
                self.moved(id, view)
            }
            (Units::Same, _) => Ok(self.activation(id)),
            (Units::Mixes, NodeTensors::Weight(layer)) => self.weight(id, layer),
            (Units::PerUnit, NodeTensors::Scale(scale)) => {
                let view = self.views[from.index()].clone();
                let factors = scale.weight.iter().copied();
                self.diagonal(id, &view, factors, scale.bias.clone())
            }
            (Units::PerUnit, _) => Ok(self.pool(id)),
            (Units::Ties, _) => {
                let inputs = node.inputs.iter();
                let inputs = inputs
                    .map(|input| self.views[input.index()].value)
                    .collect();
                let extent = Extent::of(node.shape);
                Ok(self.push(Computation::new(self.unweighted(id), inputs, [extent; 2])))
            }
            (Units::Picks | Units::Mixes, _) => {
                unreachable!("a net has the tensors of its network")
            }
        }
    }

    /// Handles a flatten or select layer. Weights read through it; other consumers read a copy.
    fn moved(&mut self, id: NodeId, view: View) -> Result<View> {
        let (graph, shape) = (self.net.graph(), self.net.graph().node(id).shape);
        if graph.is_read_by_weights(id) && !self.is_read_by_groups(id) {
            return Ok(View {
                is_whole: false,
                ..view
            });
        }
        self.copied = self.copied.saturating_add(shape.units());
        if self.copied > MOST_COPIED {
            return Err(Error::too_large(self.net.spec(), self.copied, MOST_COPIED));
        }
        let ones = std::iter::repeat_n(1.0, shape.units());
        let view = View {
            is_whole: false,
            ..view
        };
        let copied = self.diagonal(id, &view, ones, vec![0.0; shape.units()])?;
        if let Some(step) = self.program.steps.last_mut() {
            step.copies = Some(id);
        }
        Ok(copied)
    }

    /// Returns whether a convolution whose groups are kept reads a node, directly or through select
    /// and activation layers.
    fn is_read_by_groups(&self, id: NodeId) -> bool {
        let graph = self.net.graph();
        let mut consumers = graph.consumers(id).iter();
        self.groups == Groups::Kept
            && consumers.any(|&consumer| match graph.node(consumer).units {
                Some(Units::Picks | Units::Same) => self.is_read_by_groups(consumer),
                _ => graph.weight(consumer).is_some_and(|spec| spec.groups > 1),
            })
    }

    /// Returns the view of a node for one of its consumers.
    fn view_of(&self, id: NodeId) -> View {
        let view = self.views[id.index()].clone();
        let is_sole = self.net.graph().sole_consumer(id).is_some();
        View {
            is_private: view.is_private && is_sole,
            ..view
        }
    }

    fn unweighted(&self, id: NodeId) -> Op {
        let layer = self.net.graph().layer(id, self.net.spec());
        let rule = layer.and_then(ops::unweighted);
        Op::Unweighted(rule.expect("a layer without tensors that does not mix units"))
    }

    fn push(&mut self, step: Computation) -> View {
        self.program.steps.push(step);
        View::whole(self.program.steps.len())
    }

    /// Returns the positions of a value's unit, as in the network.
    fn area(&self, value: Value) -> usize {
        match value {
            0 => self.net.graph().node(NodeId::INPUT).shape.area(),
            _ => self.program.extent(value).area(),
        }
    }

    /// Handles an activation: fuses a ReLU with the step before it if nothing else reads that step.
    fn activation(&mut self, id: NodeId) -> View {
        let graph = self.net.graph();
        let is_relu = matches!(graph.layer(id, self.net.spec()), Some(LayerSpec::Relu(_)));
        let view = self.view_of(graph.node(id).inputs[0]);
        let producer = view.value.checked_sub(1);
        if let Some(step) = producer.filter(|_| is_relu && view.is_private) {
            self.program.steps[step].relu = true;
            return view;
        }
        let extent = self.program.extent(view.value);
        let step = Computation {
            relu: is_relu,
            ..Computation::new(self.unweighted(id), vec![view.value], [extent; 2])
        };
        let value = self.push(step).value;
        View {
            value,
            is_private: true,
            ..view
        }
    }

    /// Handles a pooling: fuses it with the convolution before it if possible and nothing else
    /// reads that.
    fn pool(&mut self, id: NodeId) -> View {
        let graph = self.net.graph();
        let from = graph.node(id).inputs[0];
        let output = Extent::of(graph.node(id).shape);
        let window = graph.node(id).window.expect("a pool has a window");
        let is_max = matches!(
            graph.layer(id, self.net.spec()),
            Some(LayerSpec::MaxPool2d(_))
        );
        let view = self.view_of(from);
        if window.is_identity() {
            return view;
        }
        let fuses = is_max && window.is_fused();
        let producer = view.value.checked_sub(1);
        if let Some(step) = producer.filter(|_| view.is_private && view.is_whole && fuses)
            && let Op::Conv { pool: pool @ 1, .. } = &mut self.program.steps[step].op
        {
            *pool = FUSED_WINDOW;
            self.program.steps[step].output = output;
            return view;
        }
        let value = view.value;
        let input = self.program.extent(value);
        let output = Extent {
            units: input.units,
            ..output
        };
        let step = Computation {
            window: Some(window),
            ..Computation::new(self.unweighted(id), vec![value], [input, output])
        };
        self.push(step)
    }

    /// Handles a layer with a weight. A selection before it becomes columns of zeros.
    fn weight(&mut self, id: NodeId, layer: &PrunedLayer) -> Result<View> {
        let node = self.net.graph().node(id);
        let op = match node.window {
            Some(window) => Op::Conv { window, pool: 1 },
            None => Op::Linear,
        };
        let is_linear = matches!(op, Op::Linear);
        let mut view = self.views[node.inputs[0].index()].clone();
        let input = self.program.extent(view.value);
        if is_linear {
            view.positions.flatten(self.area(view.value));
        }
        let step = Computation::new(op, vec![view.value], [input, Extent::of(node.shape)]);
        let taps = if is_linear { 1 } else { step.per_unit() };
        let cols = self.columns(input.units.saturating_mul(step.per_unit()))?;
        let spec = self.net.graph().weight(id).expect("a layer with a weight");
        let column = |row: usize, col: u32| {
            let (place, tap) = (col as usize / taps, col as usize % taps);
            let place = spec.first_input(row) + place;
            view.positions.place(place) * taps + tap
        };
        let step = Computation {
            slot: node.slot,
            groups: match self.groups {
                Groups::Kept => spec.groups,
                Groups::Dissolved => 1,
            },
            weight: layer.weight.with_columns(cols, column),
            bias: layer.bias.clone(),
            ..step
        };
        Ok(self.push(step))
    }

    /// Multiplies each unit of a view by a factor and adds a shift: a weight with one entry per
    /// row.
    fn diagonal(
        &mut self,
        id: NodeId,
        view: &View,
        factors: impl Iterator<Item = f32>,
        bias: Vec<f32>,
    ) -> Result<View> {
        let input = self.program.extent(view.value);
        let output = Extent::of(self.net.graph().node(id).shape);
        // A channel of one value stays a channel, because a consumer may need padding around it.
        let op = match self.net.graph().node(id).shape {
            Shape::Features(_) => Op::Linear,
            Shape::Image { .. } => Op::by_channel(input),
        };
        let mut step = Computation::new(op, vec![view.value], [input, output]);
        let cols = self.columns(input.units.saturating_mul(step.per_unit()))?;
        step.weight = SparseMatrix::with_capacity(bias.len(), cols, bias.len());
        for (unit, factor) in factors.enumerate() {
            if factor != 0.0 {
                let col = u32::try_from(view.positions.place(unit));
                step.weight
                    .push(col.expect("columns fit in 32 bits"), factor);
            }
            step.weight.end_row();
        }
        step.bias = bias;
        step.slot = self.net.graph().node(id).slot;
        step.ties = view.is_whole;
        Ok(self.push(step))
    }

    /// Returns the columns of a weight, if they fit in 32 bits.
    fn columns(&self, cols: usize) -> Result<usize> {
        match u32::try_from(cols) {
            Ok(_) => Ok(cols),
            Err(_) => Err(Error::too_large(self.net.spec(), cols, u32::MAX as usize)),
        }
    }
}

impl View {
    fn whole(value: Value) -> Self {
        Self {
            value,
            positions: PositionMap::default(),
            is_whole: true,
            is_private: true,
        }
    }
}

impl Computation {
    pub(super) fn new(op: Op, inputs: Vec<Value>, [input, output]: [Extent; 2]) -> Self {
        Self {
            slot: TensorSlot::Nothing,
            copies: None,
            inputs,
            ties: matches!(op, Op::Unweighted(_)),
            op,
            groups: 1,
            window: None,
            relu: false,
            input,
            output,
            weight: SparseMatrix::default(),
            bias: Vec::new(),
        }
    }
}
