//! A trained value as tensors on a device.

use candle_core::{Device, Result as CandleResult, Tensor, Var, backprop::GradStore};

use crate::error::Result;
use crate::optim::{Optimizer, Trainable};
use crate::step::At;
use crate::weight::Parameter;

/// Settings of an optimiser step.
#[derive(Clone, Copy)]
pub(crate) struct StepDescent<'a> {
    pub(crate) gradients: &'a GradStore,
    pub(crate) optimizer: Optimizer,
    pub(crate) at: &'a At,
    /// Factor on the learning rate.
    pub(crate) lr_factor: f64,
}

impl StepDescent<'_> {
    /// Returns the settings for a state of a method or the factors of a gate.
    pub(crate) fn of_state(self, lr_factor: f64) -> Self {
        Self {
            lr_factor,
            ..self.without_decay()
        }
    }

    /// Returns the settings without weight decay.
    pub(crate) fn without_decay(self) -> Self {
        Self {
            optimizer: self.optimizer.without_decay(),
            ..self
        }
    }
}

/// A trained value and its moments.
pub(crate) struct Variable {
    value: Var,
    m: Tensor,
    v: Tensor,
}

impl Variable {
    pub(crate) fn new(parameter: &Parameter, shape: &[usize], device: &Device) -> Result<Self> {
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, device);
        Ok(Self {
            value: Var::from_tensor(&tensor(&parameter.value)?)?,
            m: tensor(&parameter.m)?,
            v: tensor(&parameter.v)?,
        })
    }

    pub(crate) fn value(&self) -> &Tensor {
        self.value.as_tensor()
    }

    pub(crate) fn parameter(&self) -> Result<Parameter> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        Ok(Parameter {
            value: values(self.value())?,
            m: values(&self.m)?,
            v: values(&self.v)?,
        })
    }

    /// Runs an optimiser step. `finish` may change the new value.
    pub(crate) fn update(
        &mut self,
        descent: StepDescent<'_>,
        finish: impl FnOnce(Tensor) -> CandleResult<Tensor>,
    ) -> CandleResult<()> {
        let Some(gradient) = descent.gradients.get(self.value()) else {
            return Ok(());
        };
        // A gradient keeps its graph alive, which the moments must not.
        let gradient = gradient.detach();
        let old = Trainable {
            value: self.value().detach(),
            m: self.m.clone(),
            v: self.v.clone(),
        };
        let StepDescent { optimizer, at, .. } = descent;
        let lr = at.lr * descent.lr_factor;
        let new = optimizer.candle(lr, at.step, &old, &gradient)?;
        (self.m, self.v) = (new.m, new.v);
        self.value.set(&finish(new.value)?)
    }

    /// Sets the value and keeps the moments.
    pub(crate) fn set(&self, value: &Tensor) -> CandleResult<()> {
        // Not what is derived from the value itself.
        self.value.set(&value.copy()?.detach())
    }
}
