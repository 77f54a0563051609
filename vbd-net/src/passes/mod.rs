//! What is left of a net once everything that cannot matter is gone, as steps that compute.
//!
//! ```text
//! Graph -> build          a step for each layer that computes, with the ReLU and the pooling behind it
//!       -> normalisation  pixels are read raw, where linear layers alone read them
//!       -> constants      what cannot vary becomes part of a bias
//!       -> unread         what nobody reads disappears
//!       -> copies         one layout a value
//! ```
//!
//! A unit is a neuron, a channel, or of a net that starts with linear layers an input value. A unit without
//! incoming weights is a constant, which folds into the biases of the weights that read it; a unit that nobody
//! reads disappears, with all that only it reads.

mod build;
mod constants;
mod copies;
mod normalisation;
mod selected;
mod unread;

use std::sync::Arc;

use crate::error::Result;
use crate::graph::{NodeId, Owns, Shape};
use crate::matrix::SparseMatrix;
use crate::net::PrunedNet;
use crate::ops::Unweighted;

pub(crate) use normalisation::Pixels;
pub(crate) use selected::Selected;

/// What one sample is between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Neurons or channels.
    pub(crate) units: usize,
    /// Rows of a channel; 1 of a neuron.
    pub(crate) height: usize,
    /// Columns of a channel; 1 of a neuron.
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

    /// Values of a unit.
    pub(crate) fn area(self) -> usize {
        self.height * self.width
    }
}

/// What a step computes.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// `y = W x + b`.
    Linear,
    /// A convolution, and max-pooling of `pool x pool` windows behind it where that is more than 1.
    Conv {
        kernel: usize,
        stride: usize,
        padding: usize,
        pool: usize,
    },
    /// What works unit by unit.
    Unweighted(Arc<dyn Unweighted>),
}

impl Op {
    /// A convolution that mixes channels and nothing else.
    const BY_CHANNEL: Self = Self::Conv {
        kernel: 1,
        stride: 1,
        padding: 0,
        pool: 1,
    };

    /// Zeros around what the step reads.
    pub(crate) fn padding(&self) -> usize {
        match self {
            Self::Conv { padding, .. } => *padding,
            _ => 0,
        }
    }

    /// Whether the step has a weight.
    fn is_weighted(&self) -> bool {
        matches!(self, Self::Linear | Self::Conv { .. })
    }
}

/// The number of a value: 0 is the net's input, `i + 1` what step `i` gives.
pub(crate) type Value = usize;

/// One step: a layer with the activation and the pooling behind it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Whose tensors it has: a layer's weight; or a selection's or a scale's as a weight of one entry a row.
    pub(crate) owns: Owns,
    pub(crate) op: Op,
    /// The flattening or selection that it copies the values of.
    pub(crate) copies: Option<NodeId>,
    /// The values that it reads; none of a weight without columns.
    pub(crate) inputs: Vec<Value>,
    /// Whether unit `i` of the output is made of unit `i` of the input, so that both live or neither.
    pub(crate) ties: bool,
    /// Whether negative outputs become 0. Where there is pooling too, the order is the same either way.
    pub(crate) relu: bool,
    /// Of each input.
    pub(crate) input: Extent,
    pub(crate) output: Extent,
    /// Rows are outputs; columns are inputs, [`Step::per_unit`] of each unit.
    pub(crate) weight: SparseMatrix,
    /// One a row; of a first convolution perhaps one a row and output, before pooling.
    pub(crate) bias: Vec<f32>,
}

impl Step {
    /// Rows and columns of a unit's outputs before pooling.
    fn outputs(&self) -> [usize; 2] {
        let pool = match self.op {
            Op::Conv { pool, .. } => pool,
            _ => 1,
        };
        [self.output.height, self.output.width].map(|side| side * pool)
    }

    /// Columns of the weight for each input unit: its values, or the taps of a kernel.
    pub(crate) fn per_unit(&self) -> usize {
        match self.op {
            Op::Conv { kernel, .. } => kernel * kernel,
            _ => self.input.area(),
        }
    }

    /// Multiply-adds for one sample.
    pub(crate) fn multiply_adds(&self) -> usize {
        match self.op {
            Op::Conv { .. } => self.weight.nnz() * self.outputs().iter().product::<usize>(),
            Op::Linear => self.weight.nnz(),
            Op::Unweighted(_) => 0,
        }
    }

    /// Which of the net's weights it has.
    pub(crate) fn layer(&self) -> Option<usize> {
        match self.owns {
            Owns::Weight(weight) => Some(weight),
            _ => None,
        }
    }

    fn activate(&self, value: f32) -> f32 {
        if self.relu { value.max(0.0) } else { value }
    }
}

/// The steps that are left; the last one gives the logits.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// What the net's input is to those that read it.
    pub(crate) input: Extent,
    /// Which of its units are read, once the others are dropped, rising; input values if linear steps alone read
    /// them, else channels.
    pub(crate) inputs: Vec<u32>,
    pub(crate) pixels: Pixels,
}

impl Program {
    /// What a plan computes.
    pub(crate) fn new(net: &PrunedNet) -> Result<Self> {
        let mut program = Self::build(net)?;
        program.read_raw_pixels(net);
        program.fold_constants();
        program.drop_unread(0);
        program.shift_pixels(net);
        program.copy_for_layouts();
        Ok(program)
    }

    /// What a smaller net computes: on inputs that are normalised, and with one unit of every layer at
    /// least, for a layer of none is no network.
    pub(crate) fn smaller(net: &PrunedNet) -> Result<Self> {
        let mut program = Self::build(net)?;
        program.fold_constants();
        program.drop_unread(1);
        Ok(program)
    }

    /// The extent of a value.
    pub(crate) fn extent(&self, value: Value) -> Extent {
        match value.checked_sub(1) {
            Some(step) => self.steps[step].output,
            None => self.input,
        }
    }
}
