//! Sparse convolutions with fused bias, max-pooling and ReLU.

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

/// Side of pooling windows that are computed in registers.
pub(crate) const FUSED_WINDOW: usize = 2;

/// A sparse convolution, for one sample and for many.
#[derive(Debug)]
pub(crate) struct Conv {
    pub(crate) one: ConvOne,
    pub(crate) many: ConvMany,
}

impl Conv {
    /// Values beyond the end of a buffer that may be read or written.
    pub(crate) const SLACK: usize = planes::SLACK;

    /// Creates the convolution. The columns of `weight` are the taps of the first input channel,
    /// then of the second, and so on. The bias is one value per channel, or one per channel and
    /// output before pooling.
    pub(crate) fn new(weight: &SparseMatrix, bias: &[f32], geometry: ConvGeometry) -> Self {
        let taps = Taps::new(weight, geometry.kernel);
        Self {
            one: ConvOne::new(&taps, bias, geometry),
            many: ConvMany::new(&taps, bias, geometry),
        }
    }
}

/// Geometry of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvGeometry {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Side of the fused pooling window: 1 or [`FUSED_WINDOW`].
    pub(crate) pool: usize,
    pub(crate) relu: bool,
    /// Whether the same inputs are likely to be 0 in many samples, like the margins of images.
    pub(crate) margins: bool,
    /// Extent of the input.
    pub(crate) input: Extent,
    /// Extent of the output after pooling.
    pub(crate) output: Extent,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
}

impl ConvGeometry {
    /// Returns rows and columns of a channel's outputs before pooling.
    fn outputs(&self) -> [usize; 2] {
        [self.output.height, self.output.width].map(|side| side * self.pool)
    }

    /// Returns the input position that a tap reads for an output before pooling.
    fn read_by(&self, tap: &Tap, [y, x]: [usize; 2]) -> usize {
        let row = tap.unit * self.from.rows() + y * self.stride + tap.dy;
        row * self.from.row_step() + x * self.stride + tap.dx
    }

    /// Returns whether there is one bias per output instead of one per channel.
    fn has_bias_each(&self, bias: &[f32]) -> bool {
        bias.len() > self.output.units
    }
}

/// Converts a buffer position or length to u32.
fn number(place: usize) -> u32 {
    u32::try_from(place).expect("a buffer has fewer places")
}
