//! A fully connected layer of the CPU engine, with the ReLU that follows it.

use rayon::prelude::*;

use super::block::{Block, Update, rows_per_block};
use crate::error::{Error, Result};
use crate::kernels::gemm::{Matrix, matmul};
use crate::kernels::reparameterise::{add_square_gradient, square};
use crate::kernels::update::Masking;
use crate::noise::NoiseKey;
use crate::spec::WeightSpec;
use crate::weight::{LayerParameters, Parameter, VariationalWeight};

/// Input features whose gradient is one piece of work.
const INPUT_CHUNK: usize = 64;

/// `y = relu(x W^T + b)` with noise, feature-major: `[inputs, batch] -> [outputs, batch]`.
pub(super) struct Linear {
    name: String,
    inputs: usize,
    outputs: usize,
    relu: bool,
    blocks: Vec<Block>,
    block_rows: usize,
    x_square: Vec<f32>,
    /// After forward `eps / (2 sqrt(var))`, after backward the gradient of the variance.
    spread: Vec<f32>,
    g_square: Vec<f32>,
}

impl Linear {
    /// The layer of a weight, with `relu` behind it or not; its parameters come by `load`.
    pub(super) fn new(weight: &WeightSpec, relu: bool) -> Self {
        let (outputs, inputs) = (weight.rows(), weight.cols());
        Self {
            name: weight.layer.clone(),
            inputs,
            outputs,
            relu,
            blocks: Vec::new(),
            block_rows: rows_per_block(outputs, inputs),
            x_square: Vec::new(),
            spread: Vec::new(),
            g_square: Vec::new(),
        }
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(super) fn load(&mut self, layer: &LayerParameters) -> Result<()> {
        let expected = [self.outputs, self.inputs];
        if layer.name != self.name || layer.weight.shape() != expected {
            return Err(Error::Shape {
                name: format!("{}.weight, for {}", layer.name, self.name),
                found: layer.weight.shape().to_vec(),
                expected: expected.to_vec(),
            });
        }
        let dense = LayerParameters { weight: layer.weight.to_dense(), ..layer.clone() };
        let first_rows = (0..self.outputs).step_by(self.block_rows);
        self.blocks = first_rows.map(|row| Block::new(&dense, row, self.block_rows)).collect();
        Ok(())
    }

    pub(super) fn parameters(&self) -> LayerParameters {
        let joined = |part: fn(&Block) -> Option<&Parameter>| {
            let parts: Option<Vec<&Parameter>> = self.blocks.iter().map(part).collect();
            parts.map(|parts| Parameter {
                value: parts.iter().flat_map(|p| p.value.iter().copied()).collect(),
                m: parts.iter().flat_map(|p| p.m.iter().copied()).collect(),
                v: parts.iter().flat_map(|p| p.v.iter().copied()).collect(),
            })
        };
        let theta = joined(|block| Some(block.parameters().0)).expect("every block has theta");
        let bias = joined(|block| Some(block.parameters().2)).expect("every block has biases");
        let log_sigma2 = joined(|block| block.parameters().1);
        let weight = VariationalWeight::dense(&[self.outputs, self.inputs], theta, log_sigma2);
        let weight = weight.expect("blocks cover every row once");
        LayerParameters { name: self.name.clone(), weight, bias }
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub(super) fn mask(&mut self, masking: Masking) {
        self.blocks.par_iter_mut().for_each(|block| block.mask(masking));
    }

    pub(super) fn kill(&mut self, log_alpha_threshold: f32) {
        self.blocks.par_iter_mut().for_each(|block| block.kill(log_alpha_threshold));
    }

    /// Outputs without noise: `x` `[inputs, batch]`, `y` `[outputs, batch]`.
    pub(super) fn forward_mean(&self, x: &[f32], y: &mut [f32], batch: usize) {
        let x = Matrix::row_major(x, self.inputs, batch);
        let rows = y[..self.outputs * batch].par_chunks_mut(self.block_rows * batch);
        rows.zip(&self.blocks).for_each(|(y, block)| block.forward_mean(x, y, self.relu));
    }

    /// Outputs with noise: `x` `[inputs, batch]`, `y` `[outputs, batch]`.
    pub(super) fn forward_sample(&mut self, x: &[f32], y: &mut [f32], batch: usize, key: NoiseKey) {
        let x = &x[..self.inputs * batch];
        self.x_square.resize(x.len(), 0.0);
        square(&mut self.x_square, x);
        self.spread.resize(self.outputs * batch, 0.0);
        let inputs = (
            Matrix::row_major(x, self.inputs, batch),
            Matrix::row_major(&self.x_square, self.inputs, batch),
        );
        let chunk = self.block_rows * batch;
        let rows = y[..self.outputs * batch].par_chunks_mut(chunk).zip(self.spread.par_chunks_mut(chunk));
        let relu = self.relu;
        rows.zip(&mut self.blocks).for_each(|(out, block)| block.forward_sample(inputs, out, relu, key));
    }

    /// Gradients and update, after [`Linear::forward_sample`] on the same `x`.
    ///
    /// # Shapes
    /// - `x`, and `g_x` where it is wanted: `[inputs, batch]`
    /// - `y`, and its gradient `g`, which is overwritten: `[outputs, batch]`
    pub(super) fn backward(
        &mut self,
        (x, g_x): (&[f32], Option<&mut [f32]>),
        (y, g): (&[f32], &mut [f32]),
        batch: usize,
        update: Update,
    ) {
        let x = &x[..self.inputs * batch];
        let (y, g) = (&y[..self.outputs * batch], &mut g[..self.outputs * batch]);
        let chunk = self.block_rows * batch;
        let relu = self.relu;
        let rows = g.par_chunks_mut(chunk).zip(self.spread.par_chunks_mut(chunk));
        rows.zip(y.par_chunks(chunk)).zip(&mut self.blocks).for_each(|(((g, spread), y), block)| {
            block.backward_noise(g, spread, y, relu);
        });
        if let Some(g_x) = g_x {
            self.backward_input(&mut g_x[..self.inputs * batch], x, g, batch);
        }
        let inputs = (
            Matrix::row_major(x, self.inputs, batch),
            Matrix::row_major(&self.x_square, self.inputs, batch),
        );
        let rows = g.par_chunks(chunk).zip(self.spread.par_chunks(chunk));
        rows.zip(&mut self.blocks).for_each(|((g, g_variance), block)| {
            let rows = block.rows();
            let outputs =
                (Matrix::row_major(g, rows, batch), Matrix::row_major(g_variance, rows, batch));
            block.backward_weight(inputs, outputs, update);
        });
    }

    /// `g_x = W^T g + 2 x (S^T g_variance)`, blocks added in their order.
    fn backward_input(&mut self, g_x: &mut [f32], x: &[f32], g: &[f32], batch: usize) {
        self.g_square.resize(g_x.len(), 0.0);
        let (blocks, spread, block_rows) = (&self.blocks, &self.spread, self.block_rows);
        let chunk = INPUT_CHUNK * batch;
        let out = g_x.par_chunks_mut(chunk).zip(self.g_square.par_chunks_mut(chunk));
        out.zip(x.par_chunks(chunk)).enumerate().for_each(|(index, ((g_x, g_square), x))| {
            let (first, inputs) = (index * INPUT_CHUNK, g_x.len() / batch);
            for (number, block) in blocks.iter().enumerate() {
                let from = number * block_rows * batch;
                let g = Matrix::row_major(&g[from..], block.rows(), batch);
                let g_variance = Matrix::row_major(&spread[from..], block.rows(), batch);
                let weight = block.mean().t().rows_from(first, inputs);
                matmul(g_x, weight, g, number > 0);
                if let Some(variance) = block.variance() {
                    let variance = variance.t().rows_from(first, inputs);
                    matmul(g_square, variance, g_variance, number > 0);
                }
            }
            if blocks[0].variance().is_some() {
                add_square_gradient(g_x, x, g_square);
            }
        });
    }
}
