//! A gate of the Candle engine.

use candle_core::{Device, Result as CandleResult, Tensor};

use super::variable::{StepDescent, Variable};
use crate::error::Result;
use crate::gate::Gate;
use crate::layers::{Masking, drawn, gated, multiply};
use crate::noise::NoiseKey;
use crate::weight::{GateParameters, State, Weight};

/// A gate of the network.
pub(super) struct CandleGate {
    /// Number among the method's gates.
    pub(super) number: usize,
    spec: Gate,
    theta: Variable,
    states: Vec<(State, Variable)>,
}

impl CandleGate {
    pub(super) fn new(
        number: usize,
        spec: &Gate,
        parameters: &GateParameters,
        device: &Device,
    ) -> Result<Self> {
        let variable = |parameter| Variable::new(parameter, &[spec.units], device);
        let states = parameters.units.states();
        let states = states.map(|state| Ok((state.clone(), variable(&state.parameter)?)));
        Ok(Self {
            number,
            theta: variable(parameters.theta())?,
            states: states.collect::<Result<_>>()?,
            spec: spec.clone(),
        })
    }

    pub(super) fn parameters(&self) -> Result<GateParameters> {
        let states = self.states.iter();
        let states = states.map(|(state, variable)| Ok(state.with(variable.parameter()?)));
        let states = states.collect::<Result<_>>()?;
        Ok(GateParameters {
            after: self.spec.after.clone(),
            units: Weight::dense(&[self.spec.units], self.theta.parameter()?, states)?,
        })
    }

    fn states(&self) -> Vec<Tensor> {
        let states = self.states.iter();
        states
            .map(|(_, variable)| variable.value().clone())
            .collect()
    }

    /// Computes a training draw, or without a key the mean with pruned units at zero.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        draw: Option<(NoiseKey, Masking)>,
    ) -> CandleResult<Tensor> {
        let (theta, states) = (self.theta.value(), self.states());
        // An image whose values are units is flattened next.
        let is_image = x.dim(1)? != self.spec.units;
        let flat = is_image.then(|| x.flatten_from(1)).transpose()?;
        let x = flat.as_ref().unwrap_or(x);
        match (draw, &self.spec.method) {
            (Some((key, masking)), Some(method)) => {
                let masking = if self.spec.prunes {
                    masking
                } else {
                    Masking::Off
                };
                gated(x, &method.tensor_moments(theta, &states, masking)?, key)
            }
            (Some((key, _)), None) => {
                let draw = |unit, row: &mut [f32]| self.spec.noise().draw(key, unit, row);
                multiply(x, &drawn(draw, x.dim(0)?, theta)?)
            }
            (None, Some(method)) if self.spec.prunes => {
                multiply(x, &method.tensor_kept(theta, &states)?.unsqueeze(0)?)
            }
            (None, _) => Ok(x.clone()),
        }
    }

    /// Returns the KL times the gate's own weight; `None` if nothing is learned.
    pub(super) fn kl(&self) -> CandleResult<Option<Tensor>> {
        let Some(method) = &self.spec.method else {
            return Ok(None);
        };
        let kl = method.tensor_penalty(self.theta.value(), &self.states())?;
        let weighted = kl.map(|kl| kl * self.spec.setting.kl_weight());
        weighted.transpose()
    }

    /// Updates all learned values; dead units stay dead.
    pub(super) fn update(&mut self, descent: StepDescent<'_>) -> CandleResult<()> {
        let Some(method) = &self.spec.method else {
            return Ok(());
        };
        let descent = descent.without_decay();
        if self.spec.prunes {
            self.theta.update(descent, Ok)?;
        }
        for (number, (state, variable)) in self.states.iter_mut().enumerate() {
            let old = variable.value().detach();
            variable.update(descent.of_state(state.lr_factor), |new| {
                method.tensor_finish(number, &old, new)
            })?;
        }
        Ok(())
    }
}
