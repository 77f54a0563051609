//! Compiles a net into the steps that matter.
//!
//! ```text
//! Graph -> build          a step for each layer that computes, with its ReLU and pooling
//!       -> normalisation  reads raw pixels, if only linear layers read them
//!       -> constants      folds constant units into biases
//!       -> unread         drops what has no consumer
//!       -> margins        zeros around each value for its consumers' padding
//! ```
//!
//! A unit is a neuron, a channel, or an input value of a net that starts with linear layers. A unit
//! without incoming weights is a constant, which folds into the biases of its consumers. A unit
//! without consumers is dropped with everything that only it reads.

pub(crate) mod batch_norm;
mod build;
mod constants;
mod margins;
mod normalisation;
mod position_map;
mod unread;

use std::sync::Arc;

use build::Groups;

use crate::error::Result;
use crate::graph::{NodeId, Shape, TensorSlot, Window};
use crate::matrix::SparseMatrix;
use crate::net::PrunedNet;
use crate::ops::Unweighted;

pub(crate) use margins::Margin;
pub(crate) use normalisation::Pixels;
pub(crate) use position_map::PositionMap;

/// Extent of one sample between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Number of neurons or channels.
    pub(crate) units: usize,
    /// Rows of a channel; 1 for a neuron.
    pub(crate) height: usize,
    /// Columns of a channel; 1 for a neuron.
    pub(crate) width: usize,
}

impl Extent {
    fn of(shape: Shape) -> Self {
        let (height, width) = match shape {
            Shape::Features(_) => (1, 1),
            Shape::Image { height, width, .. } => (height, width),
        };
        Self {
            units: shape.units(),
            height,
            width,
        }
    }

    /// Iterates over units and their rows.
    pub(crate) fn rows(self) -> impl Iterator<Item = (usize, usize)> {
        let rows = 0..self.height;
        (0..self.units).flat_map(move |unit| rows.clone().map(move |row| (unit, row)))
    }

    /// Returns the number of values per unit.
    pub(crate) fn area(self) -> usize {
        self.height * self.width
    }
}

/// Operation of a step.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// `y = W x + b`.
    Linear,
    /// A convolution, followed by max-pooling of `pool x pool` windows if `pool` is above 1.
    Conv { window: Window, pool: usize },
    /// A layer without a weight.
    Unweighted(Arc<dyn Unweighted>),
}

impl Op {
    /// A 1 x 1 convolution.
    fn by_channel(input: Extent) -> Self {
        let size = [input.height, input.width];
        let window = Window {
            kernel: [1; 2],
            stride: [1; 2],
            before: [0; 2],
            after: [0; 2],
            input: size,
            output: size,
        };
        Self::Conv { window, pool: 1 }
    }

    /// Returns whether the step pads its input.
    fn is_padded(&self) -> bool {
        matches!(self, Self::Conv { window, .. } if window.is_padded())
    }

    /// Returns whether the step has a weight.
    fn is_weighted(&self) -> bool {
        matches!(self, Self::Linear | Self::Conv { .. })
    }
}

/// Number of a value: 0 is the net's input, `i + 1` the output of step `i`.
pub(crate) type Value = usize;

/// A step: a layer with its activation and pooling.
#[derive(Debug, Clone)]
pub(crate) struct Computation {
    /// Owner of the tensors: a layer's weight, or a selection or scale as a weight with one entry
    /// per row.
    pub(crate) slot: TensorSlot,
    pub(crate) op: Op,
    /// The flatten or select layer whose values it copies.
    pub(crate) copies: Option<NodeId>,
    /// Input values; none for a weight without columns.
    pub(crate) inputs: Vec<Value>,
    /// Whether output unit `i` depends on input unit `i` only, so that both live or neither does.
    pub(crate) ties: bool,
    /// Number of groups that a convolution of a shrunk net keeps; 1 in a plan, whose weights are
    /// sparse over all inputs.
    pub(crate) groups: usize,
    /// Window of a pooling that is not fused.
    pub(crate) window: Option<Window>,
    /// Whether a ReLU follows. With pooling, either order gives the same result.
    pub(crate) relu: bool,
    /// Extent of each input.
    pub(crate) input: Extent,
    pub(crate) output: Extent,
    /// The weight: rows are outputs, columns are inputs, [`Computation::per_unit`] of each unit.
    pub(crate) weight: SparseMatrix,
    /// One bias per row; a first convolution may have one per row and output before pooling.
    pub(crate) bias: Vec<f32>,
}

impl Computation {
    /// Returns rows and columns of a unit's outputs before pooling.
    fn outputs(&self) -> [usize; 2] {
        let pool = match self.op {
            Op::Conv { pool, .. } => pool,
            _ => 1,
        };
        [self.output.height, self.output.width].map(|side| side * pool)
    }

    /// Returns the columns of the weight per input unit: its values, or the taps of a kernel.
    pub(crate) fn per_unit(&self) -> usize {
        match self.op {
            Op::Conv { window, .. } => window.area(),
            _ => self.input.area(),
        }
    }

    /// Returns the multiply-adds per sample.
    pub(crate) fn multiply_adds(&self) -> usize {
        match self.op {
            Op::Conv { .. } => self.weight.nnz() * self.outputs().iter().product::<usize>(),
            Op::Linear => self.weight.nnz(),
            Op::Unweighted(_) => 0,
        }
    }

    /// Returns the number of its weight in the net.
    pub(crate) fn layer(&self) -> Option<usize> {
        match self.slot {
            TensorSlot::Weight(weight) => Some(weight),
            _ => None,
        }
    }

    fn activate(&self, value: f32) -> f32 {
        if self.relu { value.max(0.0) } else { value }
    }
}

/// The remaining steps; the last one computes the outputs.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Computation>,
    /// Extent of the net's input as seen by its consumers.
    pub(crate) input: Extent,
    /// Input units that are read, increasing, once the others are dropped: input values if only
    /// linear steps read them, else channels.
    pub(crate) inputs: Vec<u32>,
    pub(crate) pixels: Pixels,
}

impl Program {
    /// Creates the program of a plan.
    pub(crate) fn new(net: &PrunedNet) -> Result<Self> {
        let mut program = Self::build(net, Groups::Dissolved)?;
        program.read_raw_pixels(net);
        program.fold_constants();
        program.drop_unread(0);
        program.shift_pixels(net);
        program.copy_for_linear();
        Ok(program)
    }

    /// Creates the program of a shrunk net: on normalised inputs, with at least one unit per layer,
    /// and with groups of equal size.
    pub(crate) fn shrunk(net: &PrunedNet) -> Result<Self> {
        let mut program = Self::build(net, Groups::Kept)?;
        program.fold_constants();
        program.drop_unread(1);
        Ok(program)
    }

    /// Returns the extent of a value.
    pub(crate) fn extent(&self, value: Value) -> Extent {
        match value.checked_sub(1) {
            Some(step) => self.steps[step].output,
            None => self.input,
        }
    }
}
