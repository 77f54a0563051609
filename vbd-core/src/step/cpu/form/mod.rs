//! Forms of a weight in a step; all give the same numbers up to rounding.
//!
//! | form | for | weight |
//! |---|---|---|
//! | [`linear`] | linear layers | dense, by dense products |
//! | [`pixels`] | a first linear layer | dense, over nonzero pixels |
//! | [`taps`] | convolutions | dense, by gathered products |
//! | [`compact`] | any sparse layer | live entries only |

mod compact;
mod linear;
mod panels;
mod pieces;
mod pixels;
mod reach;
mod slabs;
mod taps;

use std::sync::Arc;

use rayon::prelude::*;

use super::block::Block;
use super::entries::SharedEntries;
use super::geometry::TapGeometry;
use super::pixel_batch::PixelBatch;
use crate::method::{Update, WeightMethod};
use crate::weight::LayerParameters;

/// Inputs of a layer.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// Inputs, `[features, lanes]`, followed by a row of zeros.
    pub(super) x: &'a [f32],
    /// `x^2`, if the layer is sampled.
    pub(super) x_square: &'a [f32],
    /// Both with the samples first, for forms that read them transposed.
    pub(super) turned: TransposedInput<'a>,
    /// Pixels of the batch, for forms that read them instead of `x`.
    pub(super) pixels: &'a PixelBatch,
    pub(super) samples: usize,
    pub(super) lanes: usize,
    /// Gradients of all entries, if the form has computed them together.
    pub(super) gradients: Option<&'a AllGradients>,
}

/// Gradients of all entries of a weight, in the form's order of taps, `[taps, rows]`.
pub(super) struct AllGradients {
    pub(super) theta: Vec<f32>,
    /// Empty for a weight without noise.
    pub(super) sigma2: Vec<f32>,
}

/// Transposed inputs, `[samples, features]`.
#[derive(Clone, Copy, Default)]
pub(super) struct TransposedInput<'a> {
    pub(super) x: &'a [f32],
    pub(super) x_square: &'a [f32],
}

/// Gradients of a layer's outputs with respect to means and variances, `[rows, positions, lanes]`.
#[derive(Clone, Copy)]
pub(super) struct OutputGradients<'a> {
    pub(super) mean: &'a [f32],
    pub(super) variance: &'a [f32],
}

/// Outputs of a layer.
pub(super) struct Outputs<'a> {
    /// Means.
    pub(super) mean: &'a mut [f32],
    /// Variances, if the layer is sampled.
    pub(super) variance: Option<&'a mut [f32]>,
    /// Values of a block.
    pub(super) chunk: usize,
}

/// A form of a weight: how its rows are computed.
pub(super) trait Form: Send + Sync {
    /// Returns the number of rows per block.
    fn block_rows(&self) -> usize;

    /// Divides the layer's parameters into blocks, in this form's order.
    fn cut(&self, layer: &LayerParameters, method: &Arc<dyn WeightMethod>) -> Vec<Block>;

    /// Computes the means of a block's outputs and, if requested, their variances: `[rows,
    /// positions, lanes]`.
    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        variance: Option<&mut [f32]>,
    );

    /// Computes the means and variances of all outputs at once, if that is faster than block by
    /// block, and returns whether it did. Uses several threads.
    fn forward_all(&self, _blocks: &[Block], _inputs: Inputs<'_>, _out: &mut Outputs<'_>) -> bool {
        false
    }

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

    /// Computes the gradients of all entries at once, if that is faster than block by block; `g` are
    /// those of all outputs. Uses several threads.
    fn all_gradients(
        &self,
        _inputs: Inputs<'_>,
        _g: OutputGradients<'_>,
        _is_sampled: bool,
    ) -> Option<AllGradients> {
        None
    }

    /// Computes the gradients of all entries of a block; `g` are those of its outputs.
    fn gradients(&self, block: &mut Block, inputs: Inputs<'_>, g: OutputGradients<'_>);

    /// Computes the gradients of a block's entries and updates them, for a method without a first
    /// phase.
    fn update(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        g: OutputGradients<'_>,
        update: &Update,
    ) {
        self.gradients(block, inputs, g);
        block.update_entries(SharedEntries::default(), update);
    }

    /// Called after means and variances have been recomputed.
    fn masked(&self, _block: &mut Block, _inputs: &PixelBatch) {}

    /// Returns whether the form reads [`Inputs::pixels`] instead of `x`.
    fn reads_pixels(&self) -> bool {
        false
    }

    /// Returns whether [`Form::update`] reads [`Inputs::turned`].
    fn reads_turned(&self) -> bool {
        false
    }
}

/// Computes the outputs of a layer. `finish` completes a block's means and variances, which are empty
/// without noise.
pub(super) fn outputs(
    form: &dyn Form,
    blocks: &mut [Block],
    inputs: Inputs<'_>,
    mut out: Outputs<'_>,
    finish: impl Fn(&mut Block, &mut [f32], &mut [f32]) + Sync,
) {
    let is_computed = form.forward_all(blocks, inputs, &mut out);
    let each = |block: &mut Block, mean: &mut [f32], mut variance: Option<&mut [f32]>| {
        if !is_computed {
            form.forward(block, inputs, mean, variance.as_deref_mut());
        }
        finish(block, mean, variance.unwrap_or_default());
    };
    let means = out.mean.par_chunks_mut(out.chunk).zip(blocks);
    match out.variance {
        Some(variance) => means
            .zip(variance.par_chunks_mut(out.chunk))
            .for_each(|((mean, block), variance)| each(block, mean, Some(variance))),
        None => means.for_each(|(mean, block)| each(block, mean, None)),
    }
}

/// Densities below which the compact form is faster, by the form it replaces; measured, see
/// docs/performance.md.
const COMPACT_BELOW_LINEAR: f64 = 0.35;
const COMPACT_BELOW_PIXELS: f64 = 0.25;
const COMPACT_BELOW_TAPS: f64 = 0.30;

/// When to skip a weight's dead entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compaction {
    Never,
    /// If that makes a step faster.
    WhereFaster,
    /// Always, for benchmarks.
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

/// Chooses the form of a layer by its kind and its share of live entries.
pub(super) fn choose(
    geometry: &TapGeometry,
    live: &[u32],
    reads_pixels: bool,
    compaction: Compaction,
) -> Box<dyn Form> {
    let density = live.len() as f64 / (geometry.rows * geometry.taps()) as f64;
    let is_linear = geometry.kernel_area == 1 && geometry.input_area == 1 && geometry.groups == 1;
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
