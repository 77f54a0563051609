//! Batch normalisation with kernels.

use rayon::prelude::*;
use vbd_net::graph::NormSpec;

use crate::kernels::batch_norm::{
    Line, NormalisedBy, UnitGradient, UnitSlope, input_gradient, moments, normalise, unit_gradient,
};
use crate::method::Update;
use crate::weight::NormParameters;

/// A batch normalisation of the compiled network, and the ReLU after it.
pub(crate) struct CpuNorm {
    spec: NormSpec,
    /// Whether a ReLU follows.
    relu: bool,
    parameters: NormParameters,
    /// Statistics of the last batch, one per unit.
    batch: Vec<NormalisedBy>,
    variances: Vec<f32>,
    gradients: Vec<UnitGradient>,
    valid: Vec<f32>,
}

/// Number of samples of a batch, and of lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    pub(crate) samples: usize,
    pub(crate) lanes: usize,
}

impl CpuNorm {
    pub(crate) fn new(spec: &NormSpec, relu: bool, parameters: &NormParameters) -> Self {
        let none = NormalisedBy {
            mean: 0.0,
            rstd: 1.0,
        };
        let gradient = UnitGradient {
            weight: 0.0,
            bias: 0.0,
        };
        Self {
            relu,
            parameters: parameters.clone(),
            batch: vec![none; spec.units],
            variances: vec![0.0; spec.units],
            gradients: vec![gradient; spec.units],
            valid: Vec::new(),
            spec: spec.clone(),
        }
    }

    pub(crate) fn parameters(&self) -> &NormParameters {
        &self.parameters
    }

    /// Returns 1 / the number of a unit's inputs.
    fn inv_count(&self, samples: usize) -> f32 {
        1.0 / (self.spec.area * samples) as f32
    }

    /// Computes the outputs of a batch: by its statistics in training, else by the running ones.
    ///
    /// # Shapes
    /// - `x`, `y`: `[units, area, lanes]`
    #[expect(clippy::cast_possible_truncation, reason = "computed in f32")]
    pub(crate) fn forward(&mut self, x: &[f32], y: &mut [f32], size: BatchSize, training: bool) {
        let BatchSize { samples, lanes } = size;
        self.valid.clear();
        self.valid.resize(samples, 1.0);
        self.valid.resize(lanes, 0.0);
        let eps = self.spec.eps as f32;
        let (parameters, valid, relu) = (&self.parameters, &self.valid, self.relu);
        let unit_len = self.spec.area * lanes;
        let units = y
            .par_chunks_exact_mut(unit_len)
            .zip(x.par_chunks_exact(unit_len));
        let statistics = self.batch.par_iter_mut().zip(&mut self.variances);
        units
            .zip(statistics)
            .enumerate()
            .for_each(|(unit, ((y, x), (batch, variance)))| {
                let mut mean = parameters.running_mean[unit];
                *variance = parameters.running_var[unit];
                if training {
                    let of_batch = moments(x, valid, samples);
                    (mean, *variance) = (of_batch.mean, of_batch.variance);
                }
                let rstd = 1.0 / (*variance + eps).sqrt();
                *batch = NormalisedBy { mean, rstd };
                normalise(y, x, line(parameters, unit, *batch), relu);
            });
    }

    /// Computes the gradients after [`CpuNorm::forward`] in training, and updates the parameters and
    /// the running statistics.
    ///
    /// # Shapes
    /// - `g_x`, if needed, `x` and `g`: `[units, area, lanes]`; `g` is overwritten
    pub(crate) fn backward(
        &mut self,
        g_x: Option<&mut [f32]>,
        x: &[f32],
        g: &mut [f32],
        size: BatchSize,
        update: &Update,
    ) {
        let BatchSize { samples, lanes } = size;
        let (relu, unit_len) = (self.relu, self.spec.area * lanes);
        let (inv_count, valid) = (self.inv_count(samples), &self.valid);
        let mut wanted: Vec<Option<&mut [f32]>> = match g_x {
            Some(g_x) => g_x.chunks_exact_mut(unit_len).map(Some).collect(),
            None => (0..self.spec.units).map(|_| None).collect(),
        };
        let units = g.par_chunks_exact_mut(unit_len);
        let units = units.zip(x.par_chunks_exact(unit_len));
        let (parameters, of) = (&self.parameters, &self.batch);
        let found = self.gradients.par_iter_mut().zip(&mut wanted);
        units.zip(of).zip(found).enumerate().for_each(
            |(unit, (((g, x), &of), (gradient, g_x)))| {
                let relu_after = relu.then(|| line(parameters, unit, of));
                *gradient = unit_gradient(g, x, of, relu_after);
                if let Some(g_x) = g_x {
                    let gamma = parameters.weight.value[unit];
                    let slope = UnitSlope::new(of, *gradient, gamma, inv_count);
                    input_gradient(g_x, g, x, valid, slope);
                }
            },
        );
        self.follow(samples);
        let weights: Vec<f32> = self.gradients.iter().map(|of| of.weight).collect();
        let biases: Vec<f32> = self.gradients.iter().map(|of| of.bias).collect();
        let (descent, all) = (&update.descent, 0..self.spec.units);
        descent.step(self.parameters.weight.slices_mut(all.clone()), &weights);
        descent.step(self.parameters.bias.slices_mut(all), &biases);
    }

    /// Moves the running statistics towards those of the batch, the variance without bias.
    #[expect(clippy::cast_possible_truncation, reason = "computed in f32")]
    fn follow(&mut self, samples: usize) {
        let momentum = self.spec.momentum as f32;
        let unbiased = unbiased(self.spec.area * samples);
        let running = self.parameters.running_mean.iter_mut();
        let running = running.zip(&mut self.parameters.running_var);
        for ((mean, var), (batch, variance)) in running.zip(self.batch.iter().zip(&self.variances))
        {
            *mean += momentum * (batch.mean - *mean);
            *var += momentum * (variance * unbiased - *var);
        }
    }
}

/// Returns what the inputs of a unit are mapped by.
fn line(parameters: &NormParameters, unit: usize, of: NormalisedBy) -> Line {
    Line {
        mean: of.mean,
        factor: parameters.weight.value[unit] * of.rstd,
        shift: parameters.bias.value[unit],
    }
}

/// Returns n / (n - 1), the factor of a variance without bias; 1 for a single value.
pub(super) fn unbiased(count: usize) -> f32 {
    count as f32 / (count.max(2) - 1) as f32
}
