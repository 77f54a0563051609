//! A dense weight of a linear layer, by matrix products.

use rayon::prelude::*;

use super::{Form, Inputs, OutputGradients};
use crate::kernels::gemm::{Matrix, matmul};
use crate::step::cpu::block::{Block, cut};
use crate::step::cpu::entries::Update;
use crate::step::cpu::geometry::{Geometry, narrow};
use crate::weight::LayerParameters;

/// Entries that a block holds at least, and about as many as stay in a core's cache.
const LEAST_ENTRIES: usize = 4096;
const MOST_ENTRIES: usize = 32 * 1024;
/// Blocks of a weight that is large enough to be shared between threads.
const SHARED: usize = 4;
/// Input features whose gradient is one piece of work.
const INPUT_CHUNK: usize = 64;

/// Entries of a block are `[rows, inputs]`.
pub(super) struct GemmForm {
    inputs: usize,
    block_rows: usize,
}

impl GemmForm {
    pub(super) fn new(geometry: &Geometry) -> Self {
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

    fn matrix<'a>(&self, block: &Block, values: &'a [f32]) -> Matrix<'a> {
        Matrix::row_major(values, block.rows(), self.inputs)
    }
}

impl Form for GemmForm {
    fn block_rows(&self) -> usize {
        self.block_rows
    }

    fn cut(&self, layer: &LayerParameters) -> Vec<Block> {
        cut(layer, self.block_rows, |rows| {
            let entries = rows.start * self.inputs..rows.end * self.inputs;
            entries.map(narrow).collect()
        })
    }

    fn forward(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        mean: &mut [f32],
        variance: Option<&mut [f32]>,
    ) {
        let x = |values| Matrix::row_major(values, self.inputs, inputs.lanes);
        matmul(
            mean,
            self.matrix(block, &block.entries.mean),
            x(inputs.x),
            false,
        );
        if let Some(variance) = variance {
            let weight = self.matrix(block, &block.entries.variance);
            matmul(variance, weight, x(inputs.x_square), false);
        }
    }

    /// `W^T g` and `S^T g_variance`, blocks added in their order.
    fn input_gradient(
        &self,
        blocks: &[Block],
        g: OutputGradients<'_>,
        (g_x, g_square): (&mut [f32], &mut [f32]),
        lanes: usize,
    ) {
        let chunk = INPUT_CHUNK * lanes;
        let out = g_x
            .par_chunks_mut(chunk)
            .zip(g_square.par_chunks_mut(chunk));
        out.enumerate().for_each(|(index, (g_x, g_square))| {
            let (first, inputs) = (index * INPUT_CHUNK, g_x.len() / lanes);
            for block in blocks {
                let from = block.first_row * lanes;
                let product = |out: &mut [f32], weight: &[f32], g: &[f32]| {
                    let weight = self.matrix(block, weight).t().rows_from(first, inputs);
                    let g = Matrix::row_major(&g[from..], block.rows(), lanes);
                    matmul(out, weight, g, block.number > 0);
                };
                product(g_x, &block.entries.mean, g.mean);
                if block.entries.is_variational() {
                    product(g_square, &block.entries.variance, g.variance);
                }
            }
        });
    }

    fn update(
        &self,
        block: &mut Block,
        inputs: Inputs<'_>,
        g: OutputGradients<'_>,
        update: Update,
    ) {
        block.resize_gradients(block.entries.len());
        let (rows, lanes) = (block.rows(), inputs.lanes);
        let x = |values| Matrix::row_major(values, self.inputs, lanes).t();
        matmul(
            &mut block.theta_gradient,
            Matrix::row_major(g.mean, rows, lanes),
            x(inputs.x),
            false,
        );
        if block.entries.is_variational() {
            let g = Matrix::row_major(g.variance, rows, lanes);
            matmul(&mut block.sigma2_gradient, g, x(inputs.x_square), false);
        }
        block.update_entries(update);
    }
}
