//! A gate with the parameters that it trains.

use candle_core::{Device, Module, Result as CandleResult, Tensor};

use super::trained::{Descent, Trained};
use crate::error::Result;
use crate::gate::Gate as Spec;
use crate::layers::{Masking, NoiseGate, drawn, multiply};
use crate::noise::NoiseKey;
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
        let (gate, noise) = (self.module()?, self.spec.noise());
        // An image whose values are units is flattened next.
        let is_image = x.dim(1)? != self.spec.units;
        let flat = is_image.then(|| x.flatten_from(1)).transpose()?;
        let x = flat.as_ref().unwrap_or(x);
        match draw {
            Some((key, _)) if !noise.is_learnt() => {
                let draw = |unit, row: &mut [f32]| noise.draw(key, unit, row);
                let factors = drawn(draw, x.dim(0)?, self.theta.value())?;
                multiply(x, &factors)
            }
            Some((key, _)) if !noise.prunes() => gate.sample(x, key, Masking::Off),
            Some((key, masking)) => gate.sample(x, key, masking),
            None if !noise.prunes() => Ok(x.clone()),
            None => gate.forward(x),
        }
    }

    /// The KL, weighted by the gate's own weight; `None` where nothing is learnt.
    pub(super) fn kl(&self) -> CandleResult<Option<Tensor>> {
        let setting = &self.spec.setting;
        let learnt = self.spec.noise().is_learnt().then(|| self.module());
        let kl = learnt
            .transpose()?
            .map(|gate| gate.kl(setting.prior())? * setting.kl_weight());
        kl.transpose()
    }

    /// A step of both parameters; dead units stay dead.
    pub(super) fn update(&mut self, descent: Descent<'_>) -> CandleResult<()> {
        let noise = self.spec.noise();
        if noise.prunes() {
            self.theta.update(descent.without_decay(), Ok)?;
        }
        if noise.is_learnt() {
            self.log_sigma2.update_log_sigma2(descent)?;
        }
        Ok(())
    }

    fn module(&self) -> CandleResult<NoiseGate> {
        NoiseGate::new(
            self.theta.value().clone(),
            self.log_sigma2.value().clone(),
            f64::from(self.spec.log_alpha_threshold),
        )
    }
}
