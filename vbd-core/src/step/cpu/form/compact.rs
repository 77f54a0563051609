//! A weight with only its live entries stored and computed.

use std::sync::Arc;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{Form, Inputs, OutputGradients};
use crate::kernels::dispatch::dispatch;
use crate::kernels::sparse::{
    SparseProduct, SparseRow, add_scaled, sparse_products, weight_gradient,
};
use crate::method::WeightMethod;
use crate::step::cpu::block::{Block, cut};
use crate::step::cpu::geometry::{TapGeometry, narrow};
use crate::weight::LayerParameters;

/// Number of blocks of rows, and of input channels.
const BLOCKS: usize = 8;

/// Compact form. Entries of a block are ordered by row.
pub(super) struct CompactForm {
    geometry: TapGeometry,
    block_rows: usize,
    /// `[positions, kernel_area * channels]`.
    input_rows: Vec<u32>,
    blocks: Vec<Rows>,
    /// Entries that read each group of input channels.
    readers: Vec<Vec<Reader>>,
    reader_channels: usize,
}

/// Live entries of a block.
struct Rows {
    places: Vec<u32>,
    /// End of each row's entries; the first is 0.
    ends: Vec<usize>,
    taps: Vec<u32>,
}

/// An entry, indexed by its input channel.
struct Reader {
    block: u32,
    entry: u32,
    row: u32,
    tap: u32,
}

impl CompactForm {
    pub(super) fn new(geometry: &TapGeometry, live: &[u32]) -> Self {
        let block_rows = geometry.rows.div_ceil(BLOCKS);
        let reader_channels = geometry.channels.div_ceil(BLOCKS);
        let mut blocks = Vec::new();
        let mut readers: Vec<Vec<Reader>> = Vec::new();
        readers.resize_with(geometry.channels.div_ceil(reader_channels), Vec::new);
        for (number, first) in (0..geometry.rows).step_by(block_rows).enumerate() {
            let mut rows = Rows {
                places: Vec::new(),
                ends: vec![0],
                taps: Vec::new(),
            };
            for row in first..geometry.rows.min(first + block_rows) {
                let (from, to) = (row * geometry.taps(), (row + 1) * geometry.taps());
                let from = live.partition_point(|&place| (place as usize) < from);
                let to = live.partition_point(|&place| (place as usize) < to);
                for &place in &live[from..to] {
                    let tap = geometry.row_and_tap(place).1;
                    // As if there were no groups, so that all rows share one table.
                    let channels = geometry.group_channels();
                    let channel = row / geometry.group_rows() * channels + tap % channels;
                    let tap = tap / channels * geometry.channels + channel;
                    let reader = Reader {
                        block: narrow(number),
                        entry: narrow(rows.places.len()),
                        row: narrow(row),
                        tap: narrow(tap),
                    };
                    readers[tap % geometry.channels / reader_channels].push(reader);
                    rows.places.push(place);
                    rows.taps.push(narrow(tap));
                }
                rows.ends.push(rows.places.len());
            }
            blocks.push(rows);
        }
        let input_rows = geometry.input_rows(0..geometry.channels);
        Self {
            geometry: geometry.clone(),
            block_rows,
            input_rows,
            blocks,
            readers,
            reader_channels,
        }
    }

    /// Returns the input row of each tap at an output position.
    fn table(&self, position: usize) -> &[u32] {
        let taps = self.geometry.kernel_area * self.geometry.channels;
        &self.input_rows[position * taps..][..taps]
    }
}

impl Form for CompactForm {
    fn block_rows(&self) -> usize {
        self.block_rows
    }

    fn cut(&self, layer: &LayerParameters, method: &Arc<dyn WeightMethod>) -> Vec<Block> {
        cut(layer, method, self.block_rows, |rows| {
            self.blocks[rows.start / self.block_rows].places.clone()
        })
    }

    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        variance: Option<&mut [f32]>,
    ) {
        let (rows, entries) = (&self.blocks[block.number], &block.entries);
        let positions = self.geometry.positions;
        let row_of = |unit: usize| {
            let range = rows.ends[unit / positions]..rows.ends[unit / positions + 1];
            SparseRow {
                indices: &rows.taps[range.clone()],
                table: self.table(unit % positions),
                first: &entries.mean[range.clone()],
                second: if entries.is_sampled() {
                    &entries.variance[range]
                } else {
                    &entries.mean[range]
                },
            }
        };
        let means = mean.chunks_exact_mut(inputs.lanes);
        if let Some(variance) = variance {
            let out = means
                .zip(variance.chunks_exact_mut(inputs.lanes))
                .enumerate();
            let dense = [inputs.x, inputs.x_square];
            sparse_products(out.map(|(unit, (mean, variance))| SparseProduct {
                row: row_of(unit),
                dense,
                out: [mean, variance],
            }));
        } else {
            sparse_products(means.enumerate().map(|(unit, mean)| SparseProduct {
                row: row_of(unit),
                dense: [inputs.x],
                out: [mean],
            }));
        }
    }

    fn input_gradient(
        &self,
        blocks: &[Block],
        g: OutputGradients<'_>,
        g_x: &mut [f32],
        g_square: &mut [f32],
        lanes: usize,
    ) {
        let chunk = self.reader_channels * self.geometry.input_area * lanes;
        let out = g_x
            .par_chunks_mut(chunk)
            .zip(g_square.par_chunks_mut(chunk));
        out.zip(&self.readers)
            .enumerate()
            .for_each(|(index, ((g_x, g_square), readers))| {
                g_x.fill(0.0);
                g_square.fill(0.0);
                let first_row = index * self.reader_channels * self.geometry.input_area;
                let scatter = Scatter {
                    form: self,
                    blocks,
                    g,
                    g_x,
                    g_square,
                    lanes,
                    first_row,
                    readers,
                };
                dispatch(scatter);
            });
    }

    fn gradients(&self, block: &mut Block, inputs: Inputs<'_>, g: OutputGradients<'_>) {
        block.resize_gradients(block.entries.len());
        let rows = &self.blocks[block.number];
        dispatch(Gradients {
            form: self,
            rows,
            block,
            inputs,
            g,
        });
    }
}

/// Adds each entry's contribution to the gradients of its input rows.
struct Scatter<'a> {
    form: &'a CompactForm,
    blocks: &'a [Block],
    g: OutputGradients<'a>,
    g_x: &'a mut [f32],
    g_square: &'a mut [f32],
    lanes: usize,
    first_row: usize,
    readers: &'a [Reader],
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { form, lanes, .. } = self;
        let (positions, zeros) = (form.geometry.positions, form.geometry.inputs());
        for reader in self.readers {
            let entries = &self.blocks[reader.block as usize].entries;
            let entry = reader.entry as usize;
            for position in 0..positions {
                let row = form.table(position)[reader.tap as usize] as usize;
                if row == zeros {
                    continue;
                }
                let to = (row - self.first_row) * lanes;
                let from = (reader.row as usize * positions + position) * lanes;
                let g = &self.g.mean[from..from + lanes];
                add_scaled(simd, &mut self.g_x[to..to + lanes], g, entries.mean[entry]);
                if entries.is_sampled() {
                    let g = &self.g.variance[from..from + lanes];
                    let out = &mut self.g_square[to..to + lanes];
                    add_scaled(simd, out, g, entries.variance[entry]);
                }
            }
        }
    }
}

/// Gradients of a block's entries.
struct Gradients<'a> {
    form: &'a CompactForm,
    rows: &'a Rows,
    block: &'a mut Block,
    inputs: Inputs<'a>,
    g: OutputGradients<'a>,
}

impl WithSimd for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            form,
            rows,
            block,
            inputs,
            g,
        } = self;
        let (positions, lanes) = (form.geometry.positions, inputs.lanes);
        let variational = block.entries.is_sampled();
        for row in 0..rows.ends.len() - 1 {
            let from = row * positions * lanes;
            let g_mean = &g.mean[from..from + positions * lanes];
            let g_variance = if variational {
                &g.variance[from..from + positions * lanes]
            } else {
                g_mean
            };
            for entry in rows.ends[row]..rows.ends[row + 1] {
                let tap = rows.taps[entry] as usize;
                let input_rows = form.input_rows[tap..]
                    .iter()
                    .step_by(form.geometry.kernel_area * form.geometry.channels)
                    .copied();
                let [theta, sigma2] =
                    weight_gradient(simd, inputs.x, input_rows, [g_mean, g_variance], lanes);
                block.theta_gradient[entry] = theta;
                if variational {
                    block.sigma2_gradient[entry] = sigma2;
                }
            }
        }
    }
}
