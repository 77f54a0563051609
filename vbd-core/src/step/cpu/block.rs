//! A block of a weight's rows: the unit of work of the CPU engine.
//!
//! A block owns all data of its rows, so that threads share nothing they write. Blocks are
//! determined by the weight's shape and its live entries only, so the number of threads changes no
//! sum.

use std::ops::Range;
use std::sync::Arc;

use super::entries::{Entries, SharedEntries};
use crate::kernels::reparameterise::{
    RowNoise, backward_rows, mean_rows, sample_rows, spread_gradient,
};
use crate::kernels::vector::PARTIAL_SUMS;
use crate::method::{DataGradient, Update, WeightMethod};
use crate::noise::NoiseKey;
use crate::weight::{LayerParameters, Parameter, State};

/// Some rows of a weight with their biases, moments, gradients and scratch buffers.
pub(super) struct Block {
    /// Number of the block in its layer.
    pub(super) number: usize,
    pub(super) first_row: usize,
    pub(super) entries: Entries,
    bias: Parameter,
    /// Which rows have a live weight.
    alive: Vec<bool>,
    pub(super) bias_gradient: Vec<f32>,
    pub(super) theta_gradient: Vec<f32>,
    pub(super) sigma2_gradient: Vec<f32>,
    /// Scratch buffers of the weight's form.
    pub(super) scratch: [Vec<f32>; 4],
    pub(super) partial_sums: Vec<[f32; PARTIAL_SUMS]>,
    noise: Vec<f32>,
}

/// Divides a layer in dense form into blocks of `block_rows` rows; `places` returns the entries of
/// rows.
pub(super) fn cut(
    layer: &LayerParameters,
    method: &Arc<dyn WeightMethod>,
    block_rows: usize,
    places: impl Fn(Range<usize>) -> Vec<u32>,
) -> Vec<Block> {
    let all = layer.bias.value.len();
    let firsts = (0..all).step_by(block_rows).enumerate();
    let block = |(number, first): (usize, usize)| {
        let rows = first..all.min(first + block_rows);
        let entries = Entries::gather(&layer.weight, method, places(rows.clone()));
        Block::new(layer, number, rows, entries)
    };
    firsts.map(block).collect()
}

impl Block {
    /// Creates block `number` of a layer in dense form, with these rows and their entries.
    fn new(layer: &LayerParameters, number: usize, rows: Range<usize>, entries: Entries) -> Self {
        let cut = |values: &[f32]| values[rows.clone()].to_vec();
        let columns = layer.weight.numel() / layer.bias.value.len();
        // If no state marks dead entries, noise is drawn for all rows.
        let is_marked = layer.weight.states().any(|state| state.dead.is_some());
        let is_alive = |row: usize| {
            let mut entries = row * columns..(row + 1) * columns;
            !is_marked || !entries.all(|entry| layer.weight.is_dead(entry))
        };
        let [value, m, v] = layer.bias.arrays();
        Self {
            number,
            first_row: rows.start,
            entries,
            bias: Parameter {
                value: cut(value),
                m: cut(m),
                v: cut(v),
            },
            alive: rows.clone().map(is_alive).collect(),
            bias_gradient: vec![0.0; rows.len()],
            theta_gradient: Vec::new(),
            sigma2_gradient: Vec::new(),
            scratch: Default::default(),
            partial_sums: Vec::new(),
            noise: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.bias_gradient.len()
    }

    pub(super) fn bias(&self) -> &Parameter {
        &self.bias
    }

    /// Computes outputs from means without noise: `y` `[rows, positions, lanes]`.
    pub(super) fn finish_mean(&self, y: &mut [f32], relu: bool) {
        mean_rows(y, &self.bias.value, relu);
    }

    /// Computes outputs from means and variances: `y`, `spread` `[rows, positions, lanes]`.
    pub(super) fn finish_sample(
        &mut self,
        y: &mut [f32],
        spread: &mut [f32],
        relu: bool,
        lanes: usize,
        key: NoiseKey,
    ) {
        let positions = y.len() / (self.rows() * lanes);
        self.noise.resize(lanes, 0.0);
        let noise = RowNoise {
            key,
            first_unit: self.first_row * positions,
            alive: &self.alive,
        };
        sample_rows(y, spread, &self.bias.value, relu, noise, &mut self.noise);
    }

    /// Computes the gradient through ReLU and noise, and sums it for the biases.
    pub(super) fn backward_noise(
        &mut self,
        g: &mut [f32],
        spread: &mut [f32],
        y: &[f32],
        relu: bool,
    ) {
        backward_rows(g, y, relu, &mut self.bias_gradient);
        if self.entries.is_sampled() {
            spread_gradient(spread, g);
        }
    }

    /// Updates the biases.
    pub(super) fn update_bias(&mut self, update: &Update) {
        let rows = self.rows();
        let bias = self.bias.slices_mut(0..rows);
        update.descent.step(bias, &self.bias_gradient);
    }

    /// Allocates the gradients of `len` entries.
    pub(super) fn resize_gradients(&mut self, len: usize) {
        self.theta_gradient.resize(len, 0.0);
        if self.entries.is_sampled() {
            self.sigma2_gradient.resize(len, 0.0);
        }
    }

    /// Returns the block's contribution to the sums of the first phase, from the gradients of all
    /// entries.
    pub(super) fn gather_sums(&self, shared: &[State], len: usize) -> Vec<f64> {
        let mut sums = vec![0.0; len];
        let data = DataGradient {
            theta: &self.theta_gradient,
            sigma2: &self.sigma2_gradient,
        };
        self.entries.gather_sums(shared, data, &mut sums);
        sums
    }

    /// Updates all entries by the gradients.
    pub(super) fn update_entries(&mut self, shared: SharedEntries<'_>, update: &Update) {
        let data = DataGradient {
            theta: &self.theta_gradient,
            sigma2: &self.sigma2_gradient,
        };
        let all = 0..self.entries.len();
        self.entries.update(all, data, shared, update);
    }
}
