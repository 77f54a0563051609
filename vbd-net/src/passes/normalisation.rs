//! Folds the normalisation of pixels, `x = (p scale - mean) / std`, into the first step where
//! possible.

use crate::matrix::SparseMatrix;

use super::{Computation, Op, Program};
use crate::graph::Window;
use crate::net::PrunedNet;

/// Input of the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pixels {
    /// Raw pixels: the normalisation is part of weights and bias.
    Raw,
    /// Scaled pixels, `p scale / std`, so that 0 stays 0: the normalisation has no shift, or the
    /// shift is part of the bias.
    Scaled,
    /// Normalised pixels.
    Normalised,
}

impl Program {
    /// Lets linear steps read raw pixels if only linear steps read the input: `W ((p scale - mean)
    /// / std) + b = (W scale / std) p + (b - W mean / std)`, computed in f64.
    pub(super) fn read_raw_pixels(&mut self, net: &PrunedNet) {
        if !net.graph().starts_linear() {
            return;
        }
        for step in self.steps.iter_mut().filter(|step| step.inputs == [0]) {
            fold(step, net);
        }
        self.pixels = Pixels::Raw;
    }

    /// Moves the shift of the normalisation into the biases of a first convolution, if it is the
    /// only consumer of the input.
    pub(super) fn shift_pixels(&mut self, net: &PrunedNet) {
        let mut readers = self
            .steps
            .iter_mut()
            .filter(|step| step.inputs.contains(&0));
        if self.pixels == Pixels::Normalised
            && let (Some(first), None) = (readers.next(), readers.next())
        {
            self.pixels = shift(first, &self.inputs, net);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn fold(first: &mut Computation, net: &PrunedNet) {
    let (mean, std) = (net.mean_values(), net.std_values());
    let scale = f64::from(net.scale());
    let old = &first.weight;
    let mut folded = SparseMatrix::with_capacity(old.rows(), old.cols(), old.nnz());
    for (row, bias) in first.bias.iter_mut().enumerate() {
        let mut shifted = f64::from(*bias);
        let (columns, values) = old.row(row);
        for (&col, &value) in columns.iter().zip(values) {
            let value = f64::from(value) / f64::from(std.at(col as usize));
            shifted -= value * f64::from(mean.at(col as usize));
            folded.push(col, (value * scale) as f32);
        }
        folded.end_row();
        *bias = shifted as f32;
    }
    first.weight = folded;
}

/// Maximum number of biases of a first convolution: 256 KB.
const MOST_BIASES: usize = 1 << 16;
/// Maximum number of products to compute them: some milliseconds.
const MOST_SHIFTS: usize = 1 << 22;

/// Moves the shift of the normalisation into the bias of a first convolution, one per output, if
/// these are not too many. Returns the input of the convolution then.
#[expect(clippy::cast_possible_truncation, reason = "biases are f32")]
fn shift(first: &mut Computation, inputs: &[u32], net: &PrunedNet) -> Pixels {
    let (mean, std) = (net.mean_values(), net.std_values());
    if mean.is_zero() {
        return Pixels::Scaled;
    }
    let shift = |pixel: usize| f64::from(mean.at(pixel)) / f64::from(std.at(pixel));
    let Op::Conv { window, .. } = first.op else {
        return Pixels::Normalised;
    };
    let Window {
        kernel,
        stride,
        before,
        input,
        ..
    } = window;
    let [height, width] = first.outputs();
    let area = height.saturating_mul(width);
    let products = first.weight.nnz().saturating_mul(area);
    if first.bias.len().saturating_mul(area) > MOST_BIASES || products > MOST_SHIFTS {
        return Pixels::Normalised;
    }
    // The outputs of a row or column for which a tap does not read the padding.
    let inside = |side: usize, tap: usize, outputs: usize| {
        let first = before[side].saturating_sub(tap).div_ceil(stride[side]);
        let end = (input[side] + before[side]).saturating_sub(tap);
        first..end.div_ceil(stride[side]).min(outputs)
    };
    let mut biases = Vec::with_capacity(first.bias.len() * area);
    for (row, &bias) in first.bias.iter().enumerate() {
        let mut shifted = vec![f64::from(bias); area];
        let (columns, values) = first.weight.row(row);
        for (&col, &value) in columns.iter().zip(values) {
            let (unit, tap) = (col as usize / window.area(), col as usize % window.area());
            let (dy, dx) = (tap / kernel[1], tap % kernel[1]);
            for y in inside(0, dy, height) {
                let line = inputs[unit] as usize * input[0] + y * stride[0] + dy - before[0];
                for x in inside(1, dx, width) {
                    let pixel = line * input[1] + x * stride[1] + dx - before[1];
                    shifted[y * width + x] -= f64::from(value) * shift(pixel);
                }
            }
        }
        biases.extend(shifted.iter().map(|&bias| bias as f32));
    }
    first.bias = biases;
    Pixels::Scaled
}
