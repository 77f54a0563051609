//! A gate of the compiled network.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::entries::{Entries, SharedEntries};
use crate::gate::Gate;
use crate::kernels::gate::{self, Factor};
use crate::method::{DataGradient, Dense, Update};
use crate::noise::NoiseKey;
use crate::weight::GateParameters;

/// The live units of a gate with their parameters and scratch buffers.
pub(super) struct CpuGate {
    pub(super) spec: Gate,
    /// Number among the method's gates.
    pub(super) number: usize,
    /// Indices of the live units.
    units: Vec<u32>,
    /// Their indices among the input's units; `None` for all of them.
    source: Option<Vec<u32>>,
    entries: Entries,
    /// Factors of the step, `[units, lanes]`, and their noise.
    factor: Vec<f32>,
    eps: Vec<f32>,
    by_theta: Vec<f32>,
    by_sigma2: Vec<f32>,
}

impl CpuGate {
    pub(super) fn new(
        spec: &Gate,
        number: usize,
        units: Vec<u32>,
        source: Option<Vec<u32>>,
        parameters: &GateParameters,
    ) -> Self {
        // Pure noise has no learned parameters.
        let method = spec.method.clone();
        let method = method.unwrap_or_else(|| Arc::new(Dense { fixed_zeros: false }));
        Self {
            spec: spec.clone(),
            number,
            source,
            entries: Entries::gather(&parameters.units, &method, units.clone()),
            factor: Vec::new(),
            eps: Vec::new(),
            by_theta: vec![0.0; units.len()],
            by_sigma2: vec![0.0; units.len()],
            units,
        }
    }

    /// Returns the parameters of all units; those that are not computed are dead.
    pub(super) fn parameters(&self) -> GateParameters {
        let mut all = GateParameters::new(&self.spec);
        let dead = vec![false; self.spec.units];
        all.kill(&dead);
        all.units.put(|theta, own| self.entries.scatter(theta, own));
        all
    }

    pub(super) fn mask(&mut self, active: bool) {
        self.entries.mask(&[], active && self.spec.prunes);
    }

    /// Returns the KL times the gate's own weight.
    pub(super) fn kl(&self) -> f64 {
        self.spec.setting.kl_weight() * self.entries.penalty(&[])
    }

    /// Returns the range of a unit's values in the input.
    fn source(&self, index: usize, lanes: usize) -> Range<usize> {
        let unit = self
            .source
            .as_ref()
            .map_or(index, |source| source[index] as usize);
        let len = self.spec.area * lanes;
        unit * len..(unit + 1) * len
    }

    /// Computes the outputs of a batch, with noise if there is a key.
    ///
    /// # Shapes
    /// - `x`: `[values, lanes]`, more may follow; `y`: `[units, area, lanes]`
    pub(super) fn forward(
        &mut self,
        x: &[f32],
        y: &mut [f32],
        key: Option<NoiseKey>,
        lanes: usize,
    ) {
        let mut factor = std::mem::take(&mut self.factor);
        let mut eps = std::mem::take(&mut self.eps);
        factor.resize(self.units.len() * lanes, 0.0);
        eps.resize(self.units.len() * lanes, 0.0);
        let this = &*self;
        let draws = factor
            .par_chunks_exact_mut(lanes)
            .zip(eps.par_chunks_exact_mut(lanes));
        y.par_chunks_exact_mut(this.spec.area * lanes)
            .zip(draws)
            .enumerate()
            .for_each(|(index, (y, (factor, eps)))| {
                let theta = this.entries.mean[index];
                match (key, this.entries.variance.get(index)) {
                    (Some(key), Some(&sigma2)) => {
                        gate::draw(
                            factor,
                            eps,
                            Factor { theta, sigma2 },
                            key,
                            this.units[index],
                        );
                    }
                    (Some(key), None) => this.spec.noise().draw(key, this.units[index], factor),
                    (None, _) => factor.fill(theta),
                }
                gate::multiply(y, &x[this.source(index, lanes)], factor);
            });
        (self.factor, self.eps) = (factor, eps);
    }

    fn input_gradient(&self, g_x: &mut [f32], g: &[f32], lanes: usize) {
        let len = self.spec.area * lanes;
        let factors = self.factor.par_chunks_exact(lanes);
        let outputs = g.par_chunks_exact(len).zip(factors);
        if self.source.is_none() {
            g_x.par_chunks_exact_mut(len)
                .zip(outputs)
                .for_each(|(g_x, (g, factor))| gate::multiply(g_x, g, factor));
            return;
        }
        g_x.fill(0.0);
        for (index, g) in g.chunks_exact(len).enumerate() {
            let factor = &self.factor[index * lanes..][..lanes];
            gate::multiply(&mut g_x[self.source(index, lanes)], g, factor);
        }
    }

    /// Computes gradients and updates the parameters, after [`CpuGate::forward`] of the same inputs with noise.
    ///
    /// # Shapes
    /// - `g_x`, if needed: `[values, lanes]`; `g`: like `y`
    pub(super) fn backward(
        &mut self,
        x: &[f32],
        g_x: Option<&mut [f32]>,
        g: &[f32],
        update: &Update,
        lanes: usize,
    ) {
        if let Some(g_x) = g_x {
            self.input_gradient(g_x, g, lanes);
        }
        if !self.entries.is_sampled() {
            return;
        }
        let len = self.spec.area * lanes;
        let mut by = (
            std::mem::take(&mut self.by_theta),
            std::mem::take(&mut self.by_sigma2),
        );
        let this = &*self;
        by.0.par_iter_mut()
            .zip(&mut by.1)
            .zip(g.par_chunks_exact(len))
            .enumerate()
            .for_each_init(
                || vec![0.0; lanes],
                |scratch, (index, ((by_theta, by_sigma2), g))| {
                    let eps = &this.eps[index * lanes..][..lanes];
                    let x = &x[this.source(index, lanes)];
                    let [theta, sigma] = gate::gradients(x, g, eps, scratch);
                    let deviation = this.entries.variance[index].sqrt();
                    *by_theta = theta;
                    *by_sigma2 = if deviation > 0.0 {
                        sigma / (2.0 * deviation)
                    } else {
                        0.0
                    };
                },
            );
        let data = DataGradient {
            theta: &by.0,
            sigma2: &by.1,
        };
        let update = Update {
            active: update.active && self.spec.prunes,
            descent: update.descent.without_decay(),
            ..update.times(self.spec.setting.kl_weight())
        };
        let all = 0..self.units.len();
        self.entries
            .update(all, data, SharedEntries::default(), &update);
        if !self.spec.prunes {
            self.entries.set_theta(1.0);
        }
        (self.by_theta, self.by_sigma2) = by;
    }
}
