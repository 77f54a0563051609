//! Batch normalisation with Candle operations.

use std::cell::RefCell;

use candle_core::{Device, Result as CandleResult, Tensor};
use vbd_net::graph::NormSpec;

use super::cpu::unbiased;
use crate::error::Result;
use crate::step::{StepDescent, Variable};
use crate::weight::NormParameters;

/// A batch normalisation of the Candle engine.
pub(crate) struct CandleNorm {
    spec: NormSpec,
    weight: Variable,
    bias: Variable,
    running_mean: Tensor,
    running_var: Tensor,
    /// Statistics of the last batch in training.
    batch: RefCell<Option<Statistics>>,
}

/// Mean and variance of a batch, `[units]`, the variance without bias.
struct Statistics {
    mean: Tensor,
    variance: Tensor,
}

impl CandleNorm {
    /// # Errors
    /// [`crate::Error::Shape`] if the parameters do not match `spec`, or if the device fails.
    pub(crate) fn new(
        spec: &NormSpec,
        parameters: &NormParameters,
        device: &Device,
    ) -> Result<Self> {
        parameters.check(spec)?;
        let units = [spec.units];
        let tensor = |values: &[f32]| Tensor::from_slice(values, &units, device);
        Ok(Self {
            weight: Variable::new(&parameters.weight, &units, device)?,
            bias: Variable::new(&parameters.bias, &units, device)?,
            running_mean: tensor(&parameters.running_mean)?,
            running_var: tensor(&parameters.running_var)?,
            batch: RefCell::new(None),
            spec: spec.clone(),
        })
    }

    pub(crate) fn parameters(&self) -> Result<NormParameters> {
        Ok(NormParameters {
            name: self.spec.layer.clone(),
            weight: self.weight.parameter()?,
            bias: self.bias.parameter()?,
            running_mean: self.running_mean.to_vec1()?,
            running_var: self.running_var.to_vec1()?,
        })
    }

    /// Computes the outputs of a batch: by its statistics in training, else by the running ones.
    ///
    /// # Shapes
    /// - `x`: `[batch, units, ...]`
    pub(crate) fn forward(&self, x: &Tensor, training: bool) -> CandleResult<Tensor> {
        let mut shape = vec![1; x.rank()];
        shape[1] = self.spec.units;
        let over_units = |values: &Tensor| values.reshape(&shape[..]);
        let (mean, variance) = if training {
            let others: Vec<usize> = (0..x.rank()).filter(|&dim| dim != 1).collect();
            let mean = x.mean_keepdim(&others[..])?;
            let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(&others[..])?;
            let count = x.elem_count() / self.spec.units;
            *self.batch.borrow_mut() = Some(Statistics {
                mean: mean.flatten_all()?.detach(),
                variance: (variance.flatten_all()?.detach() * f64::from(unbiased(count)))?,
            });
            (mean, variance)
        } else {
            let running = [&self.running_mean, &self.running_var];
            (over_units(running[0])?, over_units(running[1])?)
        };
        x.broadcast_sub(&mean)?
            .broadcast_div(&(variance + self.spec.eps)?.sqrt()?)?
            .broadcast_mul(&over_units(self.weight.value())?)?
            .broadcast_add(&over_units(self.bias.value())?)
    }

    /// Updates factors and shifts, and moves the running statistics towards those of the batch.
    pub(crate) fn update(&mut self, descent: StepDescent<'_>) -> CandleResult<()> {
        self.weight.update(descent, Ok)?;
        self.bias.update(descent, Ok)?;
        let Some(batch) = self.batch.take() else {
            return Ok(());
        };
        let follow =
            |running: &Tensor, batch: &Tensor| running + ((batch - running)? * self.spec.momentum)?;
        self.running_mean = follow(&self.running_mean, &batch.mean)?;
        self.running_var = follow(&self.running_var, &batch.variance)?;
        Ok(())
    }
}
