//! A value that Adam trains, as tensors on a device.

use candle_core::{Device, Result as CandleResult, Tensor, Var, backprop::GradStore};

use crate::error::Result;
use crate::kernels::update::{BETA1, BETA2, EPSILON};
use crate::posterior::{LOG_SIGMA2_DEAD, LOG_SIGMA2_MAX, LOG_SIGMA2_MIN};
use crate::step::At;
use crate::weight::Parameter;

/// A trained value and its moments.
pub(super) struct Trained {
    value: Var,
    m: Tensor,
    v: Tensor,
}

impl Trained {
    pub(super) fn new(parameter: &Parameter, shape: &[usize], device: &Device) -> Result<Self> {
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, device);
        Ok(Self {
            value: Var::from_tensor(&tensor(&parameter.value)?)?,
            m: tensor(&parameter.m)?,
            v: tensor(&parameter.v)?,
        })
    }

    pub(super) fn value(&self) -> &Tensor {
        self.value.as_tensor()
    }

    pub(super) fn parameter(&self) -> Result<Parameter> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        Ok(Parameter {
            value: values(self.value())?,
            m: values(&self.m)?,
            v: values(&self.v)?,
        })
    }

    /// Adam, with epsilon outside the bias-corrected root; `finish` may change the new value.
    pub(super) fn update(
        &mut self,
        gradients: &GradStore,
        at: &At,
        finish: impl FnOnce(Tensor) -> CandleResult<Tensor>,
    ) -> CandleResult<()> {
        let Some(gradient) = gradients.get(self.value()) else {
            return Ok(());
        };
        // Candle keeps a gradient's own graph; the moments must not drag it along.
        let gradient = gradient.detach();
        let t = f64::from(at.step) + 1.0;
        self.m = ((&self.m * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
        self.v = ((&self.v * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
        let m = (&self.m * (1.0 / (1.0 - BETA1.powf(t))))?;
        let root = ((&self.v * (1.0 / (1.0 - BETA2.powf(t))))?.sqrt()? + EPSILON)?;
        let value = (self.value().detach() - ((m / root)? * at.lr)?)?;
        self.value.set(&finish(value)?)
    }

    /// [`Trained::update`] of a `log_sigma2`: clamped, dead entries left dead.
    pub(super) fn update_log_sigma2(&mut self, gradients: &GradStore, at: &At) -> CandleResult<()> {
        let old = self.value().detach();
        self.update(gradients, at, |new| {
            let alive = old.lt(f64::from(LOG_SIGMA2_DEAD))?;
            alive.where_cond(&new.clamp(LOG_SIGMA2_MIN, LOG_SIGMA2_MAX)?, &old)
        })
    }
}
