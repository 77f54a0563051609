//! A block of a weight's rows: the unit of work of the CPU engine.
//!
//! A block owns all that concerns its rows, so that threads share nothing they write. Blocks are cut
//! by the weight's shape alone: the number of threads changes no sum.

use crate::kernels::gemm::{Matrix, matmul};
use crate::kernels::reparameterise::{backward_rows, mean_rows, sample_rows};
use crate::kernels::update::{self, Adam, DataGradient, Masking};
use crate::noise::NoiseKey;
use crate::posterior;
use crate::prior::Prior;
use crate::weight::{LayerParameters, Parameter};

/// Entries that a block holds at least, and about as many as stay in a core's cache.
const LEAST_ENTRIES: usize = 4096;
const MOST_ENTRIES: usize = 32 * 1024;
/// Blocks of a weight that is large enough to be shared between threads.
const SHARED: usize = 4;

/// Rows a block of a weight `[rows, cols]`.
pub(super) fn rows_per_block(rows: usize, cols: usize) -> usize {
    let numel = rows * cols;
    let blocks = (numel / LEAST_ENTRIES).clamp(1, SHARED).max(numel.div_ceil(MOST_ENTRIES));
    rows.div_ceil(blocks.min(rows))
}

/// What an update needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Update {
    pub(super) prior: Option<Prior>,
    pub(super) kl_factor: f32,
    pub(super) adam: Adam,
    pub(super) masking: Masking,
}

/// Some rows of a weight with their biases, moments, gradients and scratch.
pub(super) struct Block {
    first_row: usize,
    cols: usize,
    theta: Parameter,
    log_sigma2: Option<Parameter>,
    bias: Parameter,
    /// What a step computes with: theta and sigma2 where a weight takes part, else 0.
    mean: Vec<f32>,
    variance: Vec<f32>,
    theta_gradient: Vec<f32>,
    sigma2_gradient: Vec<f32>,
    bias_gradient: Vec<f32>,
    noise: Vec<f32>,
}

impl Block {
    /// Rows `first_row..` of a layer's dense parameters, as many as there are up to `rows`.
    pub(super) fn new(layer: &LayerParameters, first_row: usize, rows: usize) -> Self {
        let out = layer.bias.value.len();
        let cols = layer.weight.numel() / out;
        let rows = rows.min(out - first_row);
        let cut = |parameter: &Parameter, width: usize| {
            let cut = |values: &[f32]| values[first_row * width..][..rows * width].to_vec();
            Parameter { value: cut(&parameter.value), m: cut(&parameter.m), v: cut(&parameter.v) }
        };
        let theta = cut(layer.weight.theta(), cols);
        let log_sigma2 = layer.weight.log_sigma2().map(|p| cut(p, cols));
        let variational = if log_sigma2.is_some() { rows * cols } else { 0 };
        Self {
            first_row,
            cols,
            mean: theta.value.clone(),
            variance: vec![0.0; variational],
            theta_gradient: vec![0.0; rows * cols],
            sigma2_gradient: vec![0.0; variational],
            bias_gradient: vec![0.0; rows],
            noise: Vec::new(),
            bias: cut(&layer.bias, 1),
            theta,
            log_sigma2,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.bias.value.len()
    }

    /// The dense parameters: theta, log_sigma2, bias.
    pub(super) fn parameters(&self) -> (&Parameter, Option<&Parameter>, &Parameter) {
        (&self.theta, self.log_sigma2.as_ref(), &self.bias)
    }

    fn matrix<'a>(&self, values: &'a [f32]) -> Matrix<'a> {
        Matrix::row_major(values, self.rows(), self.cols)
    }

    /// The means that a step computes with, `[rows, cols]`.
    pub(super) fn mean(&self) -> Matrix<'_> {
        self.matrix(&self.mean)
    }

    /// The variances that a step computes with, `[rows, cols]`; `None` for a plain weight.
    pub(super) fn variance(&self) -> Option<Matrix<'_>> {
        self.log_sigma2.as_ref().map(|_| self.matrix(&self.variance))
    }

    /// Works out the means and variances that a step computes with.
    pub(super) fn mask(&mut self, masking: Masking) {
        if let Some(log_sigma2) = &self.log_sigma2 {
            let out = (&mut self.mean[..], &mut self.variance[..]);
            update::mask(out, &self.theta.value, &log_sigma2.value, masking);
        }
    }

    /// The rows' outputs without noise.
    ///
    /// # Shapes
    /// - `x`: `[cols, batch]`; `y`: `[rows, batch]`
    pub(super) fn forward_mean(&self, x: Matrix<'_>, y: &mut [f32], relu: bool) {
        matmul(y, self.mean(), x, false);
        mean_rows(y, &self.bias.value, relu);
    }

    /// The rows' outputs with noise, if the weight has a posterior.
    ///
    /// # Shapes
    /// - `x`, `x_square`: `[cols, batch]`; `y`, `spread`: `[rows, batch]`
    pub(super) fn forward_sample(
        &mut self,
        (x, x_square): (Matrix<'_>, Matrix<'_>),
        (y, spread): (&mut [f32], &mut [f32]),
        relu: bool,
        key: NoiseKey,
    ) {
        let Some(variance) = self.variance() else {
            return self.forward_mean(x, y, relu);
        };
        matmul(y, self.mean(), x, false);
        matmul(spread, variance, x_square, false);
        let at = (key, self.first_row);
        sample_rows((y, spread), &self.bias.value, relu, at, &mut self.noise);
    }

    /// Takes the gradient of the rows' outputs through ReLU and noise.
    ///
    /// # Shapes
    /// - `g`, `spread`, `y`: `[rows, batch]`
    pub(super) fn backward_noise(&mut self, g: &mut [f32], spread: &mut [f32], y: &[f32], relu: bool) {
        let spread = self.log_sigma2.is_some().then_some(spread);
        backward_rows(g, spread, y, relu, &mut self.bias_gradient);
    }

    /// Gradients of the weights, and their update.
    ///
    /// # Shapes
    /// - `x`, `x_square`: `[cols, batch]`; `g`, `g_variance`: `[rows, batch]`
    pub(super) fn backward_weight(
        &mut self,
        (x, x_square): (Matrix<'_>, Matrix<'_>),
        (g, g_variance): (Matrix<'_>, Matrix<'_>),
        update: Update,
    ) {
        update::update_plain(&mut self.bias, &self.bias_gradient, update.adam);
        matmul(&mut self.theta_gradient, g, x.t(), false);
        let (Some(log_sigma2), Some(prior)) = (&mut self.log_sigma2, update.prior) else {
            update::update_plain(&mut self.theta, &self.theta_gradient, update.adam);
            self.mean.copy_from_slice(&self.theta.value);
            return;
        };
        matmul(&mut self.sigma2_gradient, g_variance, x_square.t(), false);
        update::update_variational(
            (&mut self.theta, log_sigma2),
            (&mut self.mean, &mut self.variance),
            &DataGradient { theta: &self.theta_gradient, sigma2: &self.sigma2_gradient },
            (prior, update.kl_factor),
            (update.adam, update.masking),
        );
    }

    /// The sum of the KL over the block's live weights.
    pub(super) fn kl(&self, prior: Prior) -> f64 {
        self.log_sigma2.as_ref().map_or(0.0, |log_sigma2| {
            update::kl_sum(&self.theta.value, &log_sigma2.value, prior)
        })
    }

    /// Makes the weights over the threshold dead for good.
    pub(super) fn kill(&mut self, log_alpha_threshold: f32) {
        let Some(log_sigma2) = &mut self.log_sigma2 else { return };
        for index in 0..self.theta.value.len() {
            let (theta, l) = (self.theta.value[index], log_sigma2.value[index]);
            if !posterior::is_kept(theta, l, log_alpha_threshold) {
                self.theta.clear(index, 0.0);
                log_sigma2.clear(index, posterior::LOG_SIGMA2_DEAD);
                (self.mean[index], self.variance[index]) = (0.0, 0.0);
            }
        }
    }
}
