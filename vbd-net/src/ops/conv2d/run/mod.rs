//! Sparse convolutions with fused bias, max-pooling and ReLU.

mod direct;
mod many;
mod one;
mod planes;
mod taps;
#[cfg(test)]
mod tests;

use pulp::Arch;

use crate::matrix::SparseMatrix;
use crate::passes::Extent;
use crate::runtime::Layout;

use direct::ConvDirect;
use many::ConvMany;
use one::ConvOne;
use taps::{Tap, Taps};

/// Side of pooling windows that are computed in registers.
pub(crate) const FUSED_WINDOW: usize = 2;

/// A sparse convolution, for one sample and for many.
#[derive(Debug)]
pub(crate) struct Conv {
    pub(crate) one: One,
    pub(crate) many: ConvMany,
}

/// The kernels for one sample.
#[derive(Debug)]
pub(crate) enum One {
    /// Over planes, which channels share.
    Planes(ConvOne),
    /// Over the input itself.
    Direct(ConvDirect),
}

impl One {
    /// Returns the length of the scratch buffer for [`One::run`].
    pub(crate) fn scratch_len(&self) -> usize {
        match self {
            Self::Planes(conv) => conv.scratch_len(),
            Self::Direct(conv) => conv.scratch_len(),
        }
    }

    /// Computes one sample.
    pub(crate) fn run(&self, arch: Arch, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        match self {
            Self::Planes(conv) => conv.run(arch, x, y, scratch),
            Self::Direct(conv) => conv.run(arch, x, y, scratch),
        }
    }
}

impl Conv {
    /// Values beyond the end of a buffer that may be read or written.
    pub(crate) const SLACK: usize = planes::SLACK;

    /// Creates the convolution. The columns of `weight` are the taps of the first input channel,
    /// then of the second, and so on. The bias is one value per channel, or one per channel and
    /// output before pooling.
    pub(crate) fn new(weight: &SparseMatrix, bias: &[f32], geometry: ConvGeometry) -> Self {
        let taps = Taps::new(weight, geometry.kernel);
        let one = if ConvDirect::suits(&taps, bias, &geometry) {
            One::Direct(ConvDirect::new(&taps, bias, geometry))
        } else {
            One::Planes(ConvOne::new(&taps, bias, geometry))
        };
        Self {
            one,
            many: ConvMany::new(&taps, bias, geometry),
        }
    }
}

/// Geometry of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvGeometry {
    /// Rows and columns of the kernel.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Padding above and to the left: at most the margin of the input's layout.
    pub(crate) padding: [usize; 2],
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

    /// Returns row and column in the input's layout of the first tap at the first output.
    fn origin(&self) -> [usize; 2] {
        let before = self.from.margin().before;
        [0, 1].map(|side| before[side] - self.padding[side])
    }

    /// Returns the input position that a tap reads for an output before pooling.
    fn read_by(&self, tap: &Tap, [y, x]: [usize; 2]) -> usize {
        let (origin, stride) = (self.origin(), self.stride);
        let row = tap.unit * self.from.rows() + origin[0] + y * stride[0] + tap.dy;
        row * self.from.row_step() + origin[1] + x * stride[1] + tap.dx
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
