//! Dense weight of a first linear layer, over nonzero pixels.
//!
//! SIMD lanes are outputs: a pixel's row of weights is added to the outputs of each sample that has
//! it, and a pixel's gradients are sums over the samples that have it. The contribution of the mean
//! image is the same for all samples and becomes a constant per output; see [`PixelBatch`].

use std::ops::Range;
use std::sync::Arc;

use super::{Form, Inputs, OutputGradients};
use crate::kernels::reparameterise::mean_rows;
use crate::kernels::sparse::{SparseProduct, SparseRow, add_scaled, sparse_products};
use crate::kernels::turn::{Rows, turn};
use crate::kernels::vector::kernel;
use crate::method::{DataGradient, NOWHERE, Update, WeightMethod};
use crate::step::cpu::block::{Block, cut};
use crate::step::cpu::entries::SharedEntries;
use crate::step::cpu::geometry::{TapGeometry, narrow};
use crate::step::cpu::pixel_batch::{Order, PixelBatch};
use crate::weight::LayerParameters;

/// Maximum number of entries per block: means and variances stay in a core's cache.
const MOST_ENTRIES: usize = 64 * 1024;
/// Minimum number of blocks of a weight, so that threads share it evenly.
const LEAST_BLOCKS: usize = 4;
/// Outputs in the widest vector.
const VECTOR: usize = 16;
/// Number of pixels whose gradients are computed and used at once, in first-level cache.
const PIXELS: usize = 16;

/// Form of a first linear layer. Entries of a block are `[inputs, width]`: the block's rows, padded
/// to whole vectors.
///
/// A block's scratch holds the constants of means and variances, and the gradients of both with the
/// samples first.
pub(super) struct PixelsForm {
    inputs: usize,
    block_rows: usize,
}

impl PixelsForm {
    pub(super) fn new(geometry: &TapGeometry) -> Self {
        let (rows, inputs) = (geometry.rows, geometry.channels);
        let blocks = (rows * inputs)
            .div_ceil(MOST_ENTRIES)
            .max(LEAST_BLOCKS)
            .min(rows);
        Self {
            inputs,
            block_rows: rows.div_ceil(blocks),
        }
    }

    fn width(block: &Block) -> usize {
        block.rows().next_multiple_of(VECTOR)
    }
}

fn row(order: &Order, index: usize) -> SparseRow<'_> {
    let range = order.range(index);
    SparseRow {
        indices: &order.indices[range.clone()],
        table: &[],
        first: &order.value[range.clone()],
        second: &order.square[range],
    }
}

/// Adds the contribution of some pixels to the constants: `-m w` for means, `m^2 s` for variances.
fn add_constants(block: &mut Block, pixels: Range<usize>, shift: &[f32]) {
    let width = PixelsForm::width(block);
    let [mean, variance, ..] = &mut block.scratch;
    let (entries, shift) = (&block.entries, &shift[pixels.clone()]);
    let weights = pixels.start * width..pixels.end * width;
    add_weighted(mean, &entries.mean[weights.clone()], shift, Moment::Mean);
    if entries.is_sampled() {
        add_weighted(
            variance,
            &entries.variance[weights],
            shift,
            Moment::Variance,
        );
    }
}

kernel! {
    /// Adds the rows of some pixels' weights, scaled by their shifts.
    fn add_weighted<S>(simd, sums: &mut [f32], weights: &[f32], shift: &[f32], of: Moment) {
        for (weights, &m) in weights.chunks_exact(sums.len()).zip(shift) {
            if m != 0.0 {
                add_scaled(simd, sums, weights, of.coefficient(m));
            }
        }
    }
}

fn clear_constants(block: &mut Block) {
    let width = PixelsForm::width(block);
    for constants in &mut block.scratch[..2] {
        constants.clear();
        constants.resize(width, 0.0);
    }
}

impl Form for PixelsForm {
    fn block_rows(&self) -> usize {
        self.block_rows
    }

    fn cut(&self, layer: &LayerParameters, method: &Arc<dyn WeightMethod>) -> Vec<Block> {
        cut(layer, method, self.block_rows, |rows| {
            let width = rows.len().next_multiple_of(VECTOR);
            let rows_of = |input: usize| {
                let rows = rows
                    .clone()
                    .map(move |row| narrow(row * self.inputs + input));
                rows.chain(std::iter::repeat(NOWHERE)).take(width)
            };
            (0..self.inputs).flat_map(rows_of).collect()
        })
    }

    fn masked(&self, block: &mut Block, pixels: &PixelBatch) {
        clear_constants(block);
        add_constants(block, 0..self.inputs, &pixels.shift);
    }

    fn reads_pixels(&self) -> bool {
        true
    }

    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        variance: Option<&mut [f32]>,
    ) {
        let (width, samples) = (Self::width(block), inputs.pixels.samples());
        let Block {
            entries,
            scratch: [mean_constants, variance_constants, by_sample @ ..],
            ..
        } = block;
        for scratch in &mut *by_sample {
            scratch.resize(samples * width, 0.0);
        }
        let [means, variances] = by_sample;
        let rows = (0..samples).map(|sample| row(&inputs.pixels.by_sample, sample));
        let means_out = means.chunks_exact_mut(width);
        if variance.is_some() {
            let out = means_out.zip(variances.chunks_exact_mut(width));
            sparse_products(rows.zip(out).map(|(row, (mean, variance))| SparseProduct {
                row,
                dense: [&entries.mean, &entries.variance],
                out: [mean, variance],
            }));
        } else {
            sparse_products(rows.zip(means_out).map(|(row, mean)| SparseProduct {
                row,
                dense: [&entries.mean],
                out: [mean],
            }));
        }
        let finish = |out: &mut [f32], by_sample: &[f32], constants: &[f32]| {
            // Values beyond the batch must be finite.
            out.chunks_exact_mut(inputs.lanes)
                .for_each(|row| row[samples..].fill(0.0));
            let by_sample = Rows {
                values: by_sample,
                step: width,
                first_column: 0,
            };
            turn(out, inputs.lanes, by_sample);
            mean_rows(out, &constants[..out.len() / inputs.lanes], false);
        };
        finish(mean, means, mean_constants);
        if let Some(variance) = variance {
            finish(variance, variances, variance_constants);
        }
    }

    fn input_gradient(
        &self,
        _blocks: &[Block],
        _g: OutputGradients<'_>,
        _g_x: &mut [f32],
        _g_square: &mut [f32],
        _lanes: usize,
    ) {
        unreachable!("a first layer's input needs no gradient");
    }

    fn gradients(&self, block: &mut Block, inputs: Inputs<'_>, g: OutputGradients<'_>) {
        let (width, batch) = (Self::width(block), inputs.pixels);
        let by_output = ByOutput::new(block, inputs, g);
        block.resize_gradients(self.inputs * width);
        for pixels in self.pieces() {
            let at = pixels.start * width..pixels.end * width;
            by_output.gradients(block, batch, pixels, at);
        }
    }

    fn update(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        g: OutputGradients<'_>,
        update: &Update,
    ) {
        let (width, batch) = (Self::width(block), inputs.pixels);
        let by_output = ByOutput::new(block, inputs, g);
        clear_constants(block);
        block.resize_gradients(PIXELS * width);
        for pixels in self.pieces() {
            let len = pixels.len() * width;
            by_output.gradients(block, batch, pixels.clone(), 0..len);
            let sampled = if block.entries.is_sampled() { len } else { 0 };
            let data = DataGradient {
                theta: &block.theta_gradient[..len],
                sigma2: &block.sigma2_gradient[..sampled],
            };
            let at = pixels.start * width..pixels.end * width;
            block
                .entries
                .update(at, data, SharedEntries::default(), update);
            add_constants(block, pixels, &batch.shift);
        }
    }
}

impl PixelsForm {
    /// Iterates over groups of pixels that are processed together.
    fn pieces(&self) -> impl Iterator<Item = Range<usize>> {
        let inputs = self.inputs;
        let firsts = (0..inputs).step_by(PIXELS);
        firsts.map(move |first| first..inputs.min(first + PIXELS))
    }
}

/// Gradients of a block's outputs summed over all samples, `[width]`, of means and variances, for
/// the mean image. The gradients with the samples first are in the block's scratch.
struct ByOutput {
    sums: [Vec<f32>; 2],
}

impl ByOutput {
    fn new(block: &mut Block, inputs: Inputs<'_>, g: OutputGradients<'_>) -> Self {
        let (width, samples) = (PixelsForm::width(block), inputs.pixels.samples());
        let rows = block.rows();
        for (turned, g) in block.scratch[2..].iter_mut().zip([g.mean, g.variance]) {
            turned.clear();
            turned.resize(samples * width, 0.0);
            let g = Rows {
                values: &g[..rows * inputs.lanes],
                step: inputs.lanes,
                first_column: 0,
            };
            turn(turned, width, g);
        }
        let mut sums = [vec![0.0; width], vec![0.0; width]];
        for (sums, turned) in sums.iter_mut().zip(&block.scratch[2..]) {
            for row in turned.chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
        }
        Self { sums }
    }

    /// Computes the gradients of the entries that read `pixels` and writes them at `at`.
    fn gradients(
        &self,
        block: &mut Block,
        batch: &PixelBatch,
        pixels: Range<usize>,
        at: Range<usize>,
    ) {
        let (width, is_sampled) = (PixelsForm::width(block), block.entries.is_sampled());
        let Block {
            theta_gradient,
            sigma2_gradient,
            scratch: [.., g_mean, g_variance],
            ..
        } = block;
        let (g_mean, g_variance) = (&g_mean[..], &g_variance[..]);
        let rows = pixels.clone().map(|pixel| row(&batch.by_pixel, pixel));
        let theta_gradient = &mut theta_gradient[at.clone()];
        let theta_out = theta_gradient.chunks_exact_mut(width);
        let shift = &batch.shift[pixels];
        if is_sampled {
            let sigma2_gradient = &mut sigma2_gradient[at];
            let out = theta_out.zip(sigma2_gradient.chunks_exact_mut(width));
            sparse_products(rows.zip(out).map(|(row, (theta, sigma2))| SparseProduct {
                row,
                dense: [g_mean, g_variance],
                out: [theta, sigma2],
            }));
            shift_gradients(sigma2_gradient, &self.sums[1], shift, Moment::Variance);
        } else {
            sparse_products(rows.zip(theta_out).map(|(row, theta)| SparseProduct {
                row,
                dense: [g_mean],
                out: [theta],
            }));
        }
        shift_gradients(theta_gradient, &self.sums[0], shift, Moment::Mean);
    }
}

/// Means or variances.
#[derive(Clone, Copy)]
enum Moment {
    Mean,
    Variance,
}

impl Moment {
    /// Returns the coefficient of a pixel's shift.
    #[inline(always)]
    fn coefficient(self, shift: f32) -> f32 {
        match self {
            Self::Mean => -shift,
            Self::Variance => shift * shift,
        }
    }
}

kernel! {
    /// Adds the contribution of the mean image to each pixel's gradients.
    fn shift_gradients<S>(simd, gradients: &mut [f32], sums: &[f32], shift: &[f32], of: Moment) {
        for (gradients, &m) in gradients.chunks_exact_mut(sums.len()).zip(shift) {
            add_scaled(simd, gradients, sums, of.coefficient(m));
        }
    }
}
