//! Dense weight of a linear layer, with dense products.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Form, Inputs, OutputGradients};
use crate::kernels::product::{Product, TILE_ROWS, Taps};
use crate::method::WeightMethod;
use crate::step::cpu::block::{Block, cut};
use crate::step::cpu::geometry::{TapGeometry, narrow};
use crate::weight::LayerParameters;

/// Minimum number of entries per block, about as many as fit into a core's cache.
const LEAST_ENTRIES: usize = 4096;
const MOST_ENTRIES: usize = 32 * 1024;
/// Number of blocks of a weight that is large enough to share between threads.
const SHARED: usize = 4;
/// Input features per piece of work of the input gradient: whole tiles.
const INPUT_CHUNK: usize = 10 * TILE_ROWS;

/// Dense form of a linear layer. Entries of a block are `[rows, inputs]`.
pub(super) struct LinearForm {
    inputs: usize,
    block_rows: usize,
}

impl LinearForm {
    pub(super) fn new(geometry: &TapGeometry) -> Self {
        let (rows, inputs) = (geometry.rows, geometry.channels);
        let numel = rows * inputs;
        let blocks = (numel / LEAST_ENTRIES)
            .clamp(1, SHARED)
            .max(numel.div_ceil(MOST_ENTRIES));
        Self {
            inputs,
            block_rows: rows.div_ceil(blocks.min(rows)),
        }
    }
}

impl Form for LinearForm {
    fn block_rows(&self) -> usize {
        self.block_rows
    }

    fn cut(&self, layer: &LayerParameters, method: &Arc<dyn WeightMethod>) -> Vec<Block> {
        cut(layer, method, self.block_rows, |rows| {
            let entries = rows.start * self.inputs..rows.end * self.inputs;
            entries.map(narrow).collect()
        })
    }

    fn reads_turned(&self) -> bool {
        true
    }

    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        variance: Option<&mut [f32]>,
    ) {
        let (rows, lanes) = (block.rows(), inputs.lanes);
        let product = |out: &mut [f32], weight: &[f32], input: &[f32]| {
            let taps = Taps::matrix(self.inputs, lanes);
            Product {
                weight,
                input,
                taps,
                rows,
                columns: lanes,
                out,
                out_step: lanes,
                accumulate: false,
            }
            .run();
        };
        product(mean, &block.entries.mean, inputs.x);
        if let Some(variance) = variance {
            product(variance, &block.entries.variance, inputs.x_square);
        }
    }

    /// Computes `W^T g` and `S^T g_variance`, adding blocks in order.
    fn input_gradient(
        &self,
        blocks: &[Block],
        g: OutputGradients<'_>,
        g_x: &mut [f32],
        g_square: &mut [f32],
        lanes: usize,
    ) {
        let chunk = INPUT_CHUNK * lanes;
        let out = g_x
            .par_chunks_mut(chunk)
            .zip(g_square.par_chunks_mut(chunk));
        out.enumerate().for_each(|(index, (g_x, g_square))| {
            let (first, inputs) = (index * INPUT_CHUNK, g_x.len() / lanes);
            for block in blocks {
                let taps = Taps {
                    len: block.rows(),
                    weight_step: self.inputs,
                    row_step: 1,
                    ..Taps::matrix(0, lanes)
                };
                let product = |out: &mut [f32], weight: &[f32], g: &[f32]| {
                    Product {
                        weight: &weight[first..],
                        input: &g[block.first_row * lanes..],
                        taps,
                        rows: inputs,
                        columns: lanes,
                        out,
                        out_step: lanes,
                        accumulate: block.number > 0,
                    }
                    .run();
                };
                product(g_x, &block.entries.mean, g.mean);
                if block.entries.is_sampled() {
                    product(g_square, &block.entries.variance, g.variance);
                }
            }
        });
    }

    fn gradients(&self, block: &mut Block, inputs: Inputs<'_>, g: OutputGradients<'_>) {
        block.resize_gradients(block.entries.len());
        let rows = block.rows();
        let product = |out: &mut [f32], g: &[f32], input: &[f32]| {
            let taps = Taps {
                len: inputs.samples,
                row_step: inputs.lanes,
                ..Taps::matrix(0, self.inputs)
            };
            Product {
                weight: g,
                input,
                taps,
                rows,
                columns: self.inputs,
                out,
                out_step: self.inputs,
                accumulate: false,
            }
            .run();
        };
        product(&mut block.theta_gradient, g.mean, inputs.turned.x);
        if block.entries.is_sampled() {
            product(
                &mut block.sigma2_gradient,
                g.variance,
                inputs.turned.x_square,
            );
        }
    }
}
