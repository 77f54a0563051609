//! Sparse convolutions, with bias, max-pooling and ReLU in the same registers.

mod many;
mod one;
mod planes;
mod taps;
#[cfg(test)]
mod tests;

use crate::matrix::SparseMatrix;

use super::super::layout::Layout;
use crate::passes::Extent;

use many::ConvMany;
use one::ConvOne;
use taps::{Tap, Taps};

/// Side of the pooling windows that are computed in registers.
pub(crate) const FUSED_WINDOW: usize = 2;

/// A sparse convolution, of one sample and of many.
#[derive(Debug)]
pub(in super::super) struct Conv {
    pub(in super::super) one: ConvOne,
    pub(in super::super) many: ConvMany,
}

impl Conv {
    /// Values behind a buffer that may be read with it, or written.
    pub(in super::super) const SLACK: usize = planes::SLACK;

    /// Columns of `weight` are taps: those of the first input channel, of the second, and so on. The
    /// bias is one a channel, or one a channel and output before pooling.
    pub(in super::super) fn new(weight: &SparseMatrix, bias: &[f32], geometry: Geometry) -> Self {
        let taps = Taps::new(weight, geometry.kernel);
        Self {
            one: ConvOne::new(&taps, bias, geometry),
            many: ConvMany::new(&taps, bias, geometry),
        }
    }
}

/// What a convolution is made from, its weight and bias aside.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Geometry {
    pub(in super::super) kernel: usize,
    pub(in super::super) stride: usize,
    /// 1 or [`FUSED_WINDOW`].
    pub(in super::super) pool: usize,
    pub(in super::super) relu: bool,
    /// Whether inputs are likely to be 0 in many samples at the same place, as the margins of images
    /// are.
    pub(in super::super) margins: bool,
    /// What comes in.
    pub(in super::super) input: Extent,
    /// What comes out, pooled.
    pub(in super::super) output: Extent,
    pub(in super::super) from: Layout,
    pub(in super::super) to: Layout,
}

impl Geometry {
    /// Rows and columns of a channel's outputs before they are pooled.
    fn outputs(&self) -> [usize; 2] {
        [self.output.height, self.output.width].map(|side| side * self.pool)
    }

    /// The place of the input that a tap reads for an output before pooling.
    fn read_by(&self, tap: &Tap, [y, x]: [usize; 2]) -> usize {
        let row = tap.unit * self.from.rows() + y * self.stride + tap.dy;
        row * self.from.row_step() + x * self.stride + tap.dx
    }

    /// Whether there is a bias for each output, and not one for each channel.
    fn has_bias_each(&self, bias: &[f32]) -> bool {
        bias.len() > self.output.units
    }
}

/// A place of a buffer, or how many of its values something is.
fn number(place: usize) -> u32 {
    u32::try_from(place).expect("a buffer has fewer places")
}
