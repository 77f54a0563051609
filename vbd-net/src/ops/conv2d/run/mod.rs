//! Sparse convolutions, with bias, max-pooling and ReLU in the same registers.

mod many;
mod one;
mod planes;
mod taps;
#[cfg(test)]
mod tests;

use crate::matrix::SparseMatrix;

use crate::passes::Extent;
use crate::runtime::Layout;

use many::ConvMany;
use one::ConvOne;
use taps::{Tap, Taps};

/// Side of the pooling windows that are computed in registers.
pub(crate) const FUSED_WINDOW: usize = 2;

/// A sparse convolution, of one sample and of many.
#[derive(Debug)]
pub(crate) struct Conv {
    pub(crate) one: ConvOne,
    pub(crate) many: ConvMany,
}

impl Conv {
    /// Values behind a buffer that may be read with it, or written.
    pub(crate) const SLACK: usize = planes::SLACK;

    /// Columns of `weight` are taps: those of the first input channel, of the second, and so on. The
    /// bias is one a channel, or one a channel and output before pooling.
    pub(crate) fn new(weight: &SparseMatrix, bias: &[f32], geometry: Geometry) -> Self {
        let taps = Taps::new(weight, geometry.kernel);
        Self {
            one: ConvOne::new(&taps, bias, geometry),
            many: ConvMany::new(&taps, bias, geometry),
        }
    }
}

/// What a convolution is made from, its weight and bias aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// 1 or [`FUSED_WINDOW`].
    pub(crate) pool: usize,
    pub(crate) relu: bool,
    /// Whether inputs are likely to be 0 in many samples at the same place, as the margins of images
    /// are.
    pub(crate) margins: bool,
    /// What comes in.
    pub(crate) input: Extent,
    /// What comes out, pooled.
    pub(crate) output: Extent,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
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
