//! The forms in which a weight takes part in a step; all give the same numbers to rounding.
//!
//! | form | for | weight |
//! |---|---|---|
//! | [`linear`] | linear layers | dense, by dense products |
//! | [`pixels`] | a first linear layer | dense, over the pixels that are not zero |
//! | [`taps`] | convolutions | dense, by gathered products |
//! | [`compact`] | any layer once it is sparse | live entries alone |

mod compact;
mod linear;
mod pixels;
mod taps;

use std::sync::Arc;

use super::block::Block;
use super::entries::Shared;
use super::geometry::Geometry;
use super::pixel_batch::PixelBatch;
use crate::method::{Update, WeightMethod};
use crate::weight::LayerParameters;

/// What goes into a layer.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// `[features, lanes]`, and a row of zeros.
    pub(super) x: &'a [f32],
    /// `x^2`, where the layer is sampled.
    pub(super) x_square: &'a [f32],
    /// Both with the samples first, for a form that reads them so.
    pub(super) turned: Turned<'a>,
    /// The batch's pixels, for a form that reads them instead of `x`.
    pub(super) pixels: &'a PixelBatch,
    pub(super) samples: usize,
    pub(super) lanes: usize,
}

/// What goes into a layer, `[samples, features]`.
#[derive(Clone, Copy, Default)]
pub(super) struct Turned<'a> {
    pub(super) x: &'a [f32],
    pub(super) x_square: &'a [f32],
}

/// The gradients of a layer's outputs: of their means and of their variances,
/// `[rows, positions, lanes]`.
#[derive(Clone, Copy)]
pub(super) struct OutputGradients<'a> {
    pub(super) mean: &'a [f32],
    pub(super) variance: &'a [f32],
}

/// How a weight's rows are computed.
pub(super) trait Form: Send + Sync {
    /// Rows of a block.
    fn block_rows(&self) -> usize;

    /// The layer's parameters, in blocks of this form's own order.
    fn cut(&self, layer: &LayerParameters, method: &Arc<dyn WeightMethod>) -> Vec<Block>;

    /// Means of a block's outputs and, where `variance` is wanted, their variances:
    /// `[rows, positions, lanes]`.
    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        variance: Option<&mut [f32]>,
    );

    /// Computes the gradients of `x` through the means into `g_x`, and of `x^2` through the variances
    /// into `g_square`, `[features, lanes]`. Uses several threads.
    fn input_gradient(
        &self,
        blocks: &[Block],
        g: OutputGradients<'_>,
        g_x: &mut [f32],
        g_square: &mut [f32],
        lanes: usize,
    );

    /// The gradients of all of a block's entries; `g` are those of the block's outputs.
    fn gradients(&self, block: &mut Block, inputs: Inputs<'_>, g: OutputGradients<'_>);

    /// The gradients of a block's entries and their update, where the method has no first phase.
    fn update(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        g: OutputGradients<'_>,
        update: &Update,
    ) {
        self.gradients(block, inputs, g);
        block.update_entries(Shared::default(), update);
    }

    /// Called when means and variances were worked out anew.
    fn masked(&self, _block: &mut Block, _inputs: &PixelBatch) {}

    /// Whether the form reads [`Inputs::pixels`] instead of `x`.
    fn reads_pixels(&self) -> bool {
        false
    }

    /// Whether [`Form::update`] reads [`Inputs::turned`].
    fn reads_turned(&self) -> bool {
        false
    }
}

/// A weight's density at which the compact form becomes faster, by the form it leaves; measured, see
/// docs/performance.md.
const COMPACT_BELOW_LINEAR: f64 = 0.35;
const COMPACT_BELOW_PIXELS: f64 = 0.25;
const COMPACT_BELOW_TAPS: f64 = 0.30;

/// When a weight's dead entries leave the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compaction {
    Never,
    /// Where that makes a step faster.
    WhereFaster,
    /// Whatever lives, so that a benchmark can tell where it is faster.
    #[cfg(feature = "bench-internals")]
    Always,
}

impl Compaction {
    fn is_due(self, density: f64, compact_below: f64) -> bool {
        match self {
            Self::Never => false,
            Self::WhereFaster => density < compact_below,
            #[cfg(feature = "bench-internals")]
            Self::Always => true,
        }
    }
}

/// The form for a layer: by its kind and the share of its entries that live.
pub(super) fn choose(
    geometry: &Geometry,
    live: &[u32],
    reads_pixels: bool,
    compaction: Compaction,
) -> Box<dyn Form> {
    let density = live.len() as f64 / (geometry.rows * geometry.taps()) as f64;
    let is_linear = geometry.kernel_area == 1 && geometry.input_area == 1;
    let (dense, compact_below): (Box<dyn Form>, f64) = if !is_linear {
        (Box::new(taps::TapsForm::new(geometry)), COMPACT_BELOW_TAPS)
    } else if reads_pixels {
        (
            Box::new(pixels::PixelsForm::new(geometry)),
            COMPACT_BELOW_PIXELS,
        )
    } else {
        (
            Box::new(linear::LinearForm::new(geometry)),
            COMPACT_BELOW_LINEAR,
        )
    };
    if compaction.is_due(density, compact_below) {
        return Box::new(compact::CompactForm::new(geometry, live));
    }
    dense
}
