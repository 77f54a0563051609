//! What is left of a net once everything that cannot matter is gone.
//!
//! A unit is a neuron, a channel, or of a net that starts with a linear layer an input value. A unit
//! without incoming weights is a constant, which folds into the biases of those that read it; a unit
//! that nobody reads disappears, with all that only it reads. One pass forward and one back reach the
//! fixed point: folding depends on what lies before a layer, reading on what lies behind it.

mod normalisation;

use crate::matrix::SparseMatrix;
use crate::spec::{LayerSpec, Shape};

use crate::error::{Error, Result};
use crate::net::PrunedNet;
use crate::runtime::FUSED_WINDOW;
use crate::selected::Selected;

pub(crate) use normalisation::Pixels;

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
        match shape {
            Shape::Features(units) => Self {
                units,
                height: 1,
                width: 1,
            },
            Shape::Image {
                channels: units,
                height,
                width,
            } => Self {
                units,
                height,
                width,
            },
        }
    }

    /// Values of a unit.
    pub(crate) fn area(self) -> usize {
        self.height * self.width
    }
}

/// What a step computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Max-pooling, or with `kernel` 1 nothing but the ReLU.
    Pool { kernel: usize },
}

/// One step: a layer with the activation and the pooling behind it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Which of the net's layers with weights it is.
    pub(crate) layer: Option<usize>,
    pub(crate) op: Op,
    /// Whether negative outputs become 0. Where there is pooling too, the order is the same either way.
    pub(crate) relu: bool,
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
            Op::Linear | Op::Pool { .. } => self.input.area(),
        }
    }

    /// Multiply-adds for one sample.
    pub(crate) fn multiply_adds(&self) -> usize {
        match self.op {
            Op::Conv { .. } => self.weight.nnz() * self.outputs().iter().product::<usize>(),
            Op::Linear => self.weight.nnz(),
            Op::Pool { .. } => 0,
        }
    }
}

/// The steps that are left, and which input units they read.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) steps: Vec<Step>,
    /// Rising; input values if the first step is linear, else channels.
    pub(crate) inputs: Vec<u32>,
    pub(crate) pixels: Pixels,
}

impl Chain {
    /// What a plan computes.
    pub(crate) fn new(net: &PrunedNet) -> Result<Self> {
        let mut steps = steps(net)?;
        let raw = steps.first().is_some_and(|step| step.op == Op::Linear);
        if raw {
            normalisation::fold(&mut steps[0], net);
        }
        fold_constants(&mut steps);
        let inputs = drop_unread(&mut steps, 0);
        if let Some(dead) = steps.iter().rposition(|step| step.output.units == 0) {
            steps.drain(..=dead);
        }
        let pixels = match steps.first_mut() {
            _ if raw => Pixels::Raw,
            Some(first) => normalisation::shift(first, &inputs, net),
            None => Pixels::Normalised,
        };
        Ok(Self {
            steps,
            inputs,
            pixels,
        })
    }

    /// What a smaller net computes: on inputs that are normalised, and with one unit of every layer at
    /// least, for a layer of none is no network.
    pub(crate) fn smaller(net: &PrunedNet) -> Result<Self> {
        let mut steps = steps(net)?;
        fold_constants(&mut steps);
        let inputs = drop_unread(&mut steps, 1);
        Ok(Self {
            steps,
            inputs,
            pixels: Pixels::Normalised,
        })
    }
}

/// The columns of a weight, if they can be counted in 32 bits.
fn columns(net: &PrunedNet, cols: usize) -> Result<usize> {
    match u32::try_from(cols) {
        Ok(_) => Ok(cols),
        Err(_) => Err(Error::too_large(&net.spec, cols, u32::MAX as usize)),
    }
}

/// The layers as steps, whole: a selection is a wider weight with zeros in it.
fn steps(net: &PrunedNet) -> Result<Vec<Step>> {
    let shapes = net.spec.shapes()?;
    let mut weights = net.layers.iter().enumerate();
    let mut selections = net.selections.iter();
    let mut selected = Selected::default();
    let mut flow = Extent::of(shapes[0]);
    let mut steps: Vec<Step> = Vec::new();
    for (layer, pair) in net.spec.layers.iter().zip(shapes.windows(2)) {
        let output = Extent::of(pair[1]);
        let op = match *layer {
            LayerSpec::MaxPool2d { kernel: 1 } => continue,
            LayerSpec::Flatten {} => {
                selected.flatten(flow.area());
                continue;
            }
            LayerSpec::Select { .. } => {
                let selection = selections.next();
                selected.select(&selection.expect("a net has its selections").index);
                continue;
            }
            LayerSpec::Linear { .. } => Op::Linear,
            LayerSpec::Conv2d {
                kernel,
                stride,
                padding,
                ..
            } => Op::Conv {
                kernel,
                stride,
                padding,
                pool: 1,
            },
            LayerSpec::MaxPool2d { kernel } => {
                flow = Extent {
                    units: flow.units,
                    ..output
                };
                if let Some(step) = steps.last_mut()
                    && let Op::Conv { pool: pool @ 1, .. } = &mut step.op
                    && kernel == FUSED_WINDOW
                {
                    *pool = kernel;
                    step.output = flow;
                    continue;
                }
                Op::Pool { kernel }
            }
            LayerSpec::Relu {} => {
                if let Some(step) = steps.last_mut() {
                    step.relu = true;
                    continue;
                }
                Op::Pool { kernel: 1 }
            }
        };
        let before = steps
            .last()
            .map_or(Extent::of(shapes[0]), |step| step.output);
        let mut step = Step {
            layer: None,
            op,
            relu: matches!(layer, LayerSpec::Relu {}),
            input: before,
            output: flow,
            weight: SparseMatrix::default(),
            bias: Vec::new(),
        };
        if !matches!(op, Op::Pool { .. })
            && let Some((index, own)) = weights.next()
        {
            step.layer = Some(index);
            step.output = output;
            flow = output;
            if op == Op::Linear {
                selected.flatten(before.area());
                // The input of a net that starts linear is read value by value.
                if steps.is_empty() {
                    step.input = Extent::of(Shape::Features(net.spec.input_len()));
                }
            }
            let taps = match op {
                Op::Linear => 1,
                _ => step.per_unit(),
            };
            let cols = columns(net, before.units.saturating_mul(step.per_unit()))?;
            let column = |col: u32| {
                let (place, tap) = (col as usize / taps, col as usize % taps);
                selected.place(place) * taps + tap
            };
            step.weight = own.weight.with_columns(cols, column);
            step.bias.clone_from(&own.bias);
            selected = Selected::default();
        }
        steps.push(step);
    }
    Ok(steps)
}

/// Makes units that cannot vary part of the biases of those that read them.
#[expect(clippy::cast_possible_truncation, reason = "biases are f32")]
fn fold_constants(steps: &mut [Step]) {
    // Of each unit that comes in; none are known where this is shorter.
    let mut constants: Vec<Option<f32>> = Vec::new();
    for step in steps {
        let relu = |value: f32| if step.relu { value.max(0.0) } else { value };
        if let Op::Pool { .. } = step.op {
            constants
                .iter_mut()
                .flatten()
                .for_each(|value| *value = relu(*value));
            continue;
        }
        // At the edge of a padded image zeros stand in for a constant, so that it varies.
        let padded = matches!(step.op, Op::Conv { padding, .. } if padding > 0);
        let per_unit = step.per_unit();
        let constant = |col: u32| {
            let value = constants.get(col as usize / per_unit).copied().flatten();
            value.filter(|&value| !padded || value == 0.0)
        };
        let old = &step.weight;
        let mut left = SparseMatrix::with_capacity(old.rows(), old.cols(), old.nnz());
        let mut outputs = Vec::with_capacity(old.rows());
        for (row, bias) in step.bias.iter_mut().enumerate() {
            let mut shifted = f64::from(*bias);
            let (columns, values) = old.row(row);
            let before = left.nnz();
            for (&col, &value) in columns.iter().zip(values) {
                match constant(col) {
                    Some(constant) => shifted += f64::from(value) * f64::from(constant),
                    None => left.push(col, value),
                }
            }
            left.end_row();
            *bias = shifted as f32;
            outputs.push((left.nnz() == before).then(|| relu(*bias)));
        }
        step.weight = left;
        constants = outputs;
    }
}

/// Drops the units that nobody reads, but for `least` of a layer, numbers those that are left anew, and
/// returns which of the inputs are left.
fn drop_unread(steps: &mut [Step], least: u32) -> Vec<u32> {
    // All outputs of the last step are read.
    let mut read: Option<Vec<u32>> = None;
    // Whether what is left of a step's outputs is only there for a layer to have some.
    let mut is_idle = false;
    for step in steps.iter_mut().rev() {
        if let Some(read) = &read {
            step.output.units = read.len();
        }
        if let Op::Pool { .. } = step.op {
            step.input.units = step.output.units;
            continue;
        }
        if is_idle {
            let rows = step.bias.len();
            step.weight = SparseMatrix::from_places([rows, step.weight.cols()], 0, [].into_iter());
            step.bias.fill(0.0);
        }
        let per_unit = step.per_unit();
        let all: Vec<u32>;
        let rows = if let Some(read) = &read {
            read
        } else {
            all = (0..).take(step.bias.len()).collect();
            &all
        };
        let units = rows.iter().flat_map(|&row| step.weight.row(row as usize).0);
        let mut units: Vec<u32> = units.map(|&col| unit_of(col, per_unit)).collect();
        units.sort_unstable();
        units.dedup();
        is_idle = units.is_empty();
        if is_idle {
            units.extend(0..least);
        }
        let mut left =
            SparseMatrix::with_capacity(rows.len(), units.len() * per_unit, step.weight.nnz());
        for &row in rows {
            let (columns, values) = step.weight.row(row as usize);
            for (&col, &value) in columns.iter().zip(values) {
                let unit = units.partition_point(|&unit| unit < unit_of(col, per_unit));
                let col = unit * per_unit + col as usize % per_unit;
                left.push(
                    u32::try_from(col).expect("no column is above what it was"),
                    value,
                );
            }
            left.end_row();
        }
        step.bias = rows.iter().map(|&row| step.bias[row as usize]).collect();
        step.weight = left;
        step.input.units = units.len();
        read = Some(units);
    }
    read.unwrap_or_default()
}

fn unit_of(col: u32, per_unit: usize) -> u32 {
    u32::try_from(col as usize / per_unit).expect("a part of an u32")
}
