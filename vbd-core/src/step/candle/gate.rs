//! A gate with the parameters that it trains.

use candle_core::{Device, Module, Result as CandleResult, Tensor, backprop::GradStore};

use super::trained::Trained;
use crate::error::Result;
use crate::gate::Gate as Spec;
use crate::layers::{Masking, NoiseGate};
use crate::noise::NoiseKey;
use crate::prior::Prior;
use crate::step::At;
use crate::weight::GateParameters;

/// A gate of the network.
pub(super) struct Gate {
    /// Its number among the method's gates.
    pub(super) number: usize,
    spec: Spec,
    theta: Trained,
    log_sigma2: Trained,
}

impl Gate {
    pub(super) fn new(
        number: usize,
        spec: &Spec,
        own: &GateParameters,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self {
            number,
            theta: Trained::new(&own.theta, &[spec.units], device)?,
            log_sigma2: Trained::new(&own.log_sigma2, &[spec.units], device)?,
            spec: spec.clone(),
        })
    }

    pub(super) fn parameters(&self) -> Result<GateParameters> {
        Ok(GateParameters {
            after: self.spec.after.clone(),
            theta: self.theta.parameter()?,
            log_sigma2: self.log_sigma2.parameter()?,
        })
    }

    /// A training draw, or without a key the mean with pruned units at zero.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        draw: Option<(NoiseKey, Masking)>,
    ) -> CandleResult<Tensor> {
        let gate = self.module()?;
        // An image whose values are units is flattened next.
        let is_image = x.dim(1)? != self.spec.units;
        let flat = is_image.then(|| x.flatten_from(1)).transpose()?;
        let x = flat.as_ref().unwrap_or(x);
        match draw {
            Some((key, masking)) => gate.sample(x, key, masking),
            None => gate.forward(x),
        }
    }

    /// The KL, weighted by the gate's own weight.
    pub(super) fn kl(&self, prior: Prior) -> CandleResult<Tensor> {
        self.module()?.kl(prior)? * self.spec.kl_weight
    }

    /// Adam on both parameters; dead units stay dead.
    pub(super) fn update(&mut self, gradients: &GradStore, at: &At) -> CandleResult<()> {
        self.theta.update(gradients, at, Ok)?;
        self.log_sigma2.update_log_sigma2(gradients, at)
    }

    fn module(&self) -> CandleResult<NoiseGate> {
        NoiseGate::new(
            self.theta.value().clone(),
            self.log_sigma2.value().clone(),
            f64::from(self.spec.log_alpha_threshold),
        )
    }
}
