//! A layer with parameters: its map, its weight and its bias.

use candle_core::{Device, Module, Result as CandleResult, Tensor};

use super::trained::{Descent, Trained};
use crate::error::Result;
use crate::layers::{Conv2d, Linear, Masking, Variational, WeightedMap};
use crate::noise::NoiseKey;
use crate::recipe::WeightMethod;
use crate::weight::{LayerParameters, VariationalWeight};
use vbd_net::graph::WeightSpec;
use vbd_net::spec::LayerSpec;

/// The maps of a network's layers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Map {
    /// An image that comes in is flattened.
    Linear,
    Conv2d(Conv2d),
}

impl Map {
    /// The map of a layer, if it has one.
    pub(super) fn of(layer: &LayerSpec) -> Option<Self> {
        match layer {
            LayerSpec::Linear(_) => Some(Self::Linear),
            LayerSpec::Conv2d(conv) => {
                let (stride, padding) = (conv.stride, conv.padding);
                Some(Self::Conv2d(Conv2d { stride, padding }))
            }
            _ => None,
        }
    }
}

impl WeightedMap for Map {
    fn apply(&self, x: &Tensor, weight: &Tensor) -> CandleResult<Tensor> {
        match self {
            Self::Linear => Linear.apply(&x.flatten_from(1)?, weight),
            Self::Conv2d(conv) => conv.apply(x, weight),
        }
    }
}

/// A layer with parameters; `log_sigma2` is `None` where the weight is plain.
pub(super) struct Weighted {
    /// Its number among the network's weights.
    pub(super) number: usize,
    method: WeightMethod,
    spec: WeightSpec,
    map: Map,
    theta: Trained,
    log_sigma2: Option<Trained>,
    bias: Trained,
}

impl Weighted {
    /// # Errors
    /// [`crate::Error::Shape`] if the parameters are not those of `spec`, or if the device fails.
    pub(super) fn new(
        (number, method): (usize, WeightMethod),
        spec: &WeightSpec,
        map: Map,
        parameters: &LayerParameters,
        device: &Device,
    ) -> Result<Self> {
        parameters.check(&spec.layer, &spec.shape)?;
        let weight = parameters.weight.to_dense();
        let shape = &spec.shape[..];
        let log_sigma2 = weight
            .log_sigma2()
            .map(|p| Trained::new(p, shape, device))
            .transpose()?;
        Ok(Self {
            number,
            method,
            map,
            theta: Trained::new(weight.theta(), shape, device)?,
            log_sigma2,
            bias: Trained::new(&parameters.bias, &shape[..1], device)?,
            spec: spec.clone(),
        })
    }

    pub(super) fn parameters(&self) -> Result<LayerParameters> {
        let log_sigma2 = self
            .log_sigma2
            .as_ref()
            .map(Trained::parameter)
            .transpose()?;
        let weight =
            VariationalWeight::dense(&self.spec.shape, self.theta.parameter()?, log_sigma2)?;
        Ok(LayerParameters {
            name: self.spec.layer.clone(),
            weight,
            bias: self.bias.parameter()?,
        })
    }

    /// A training draw, or without a key the mean with pruned weights at zero.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        draw: Option<(NoiseKey, Masking)>,
    ) -> CandleResult<Tensor> {
        match (self.variational()?, draw) {
            (Some(layer), Some((key, masking))) => layer.sample(x, key, masking),
            (Some(layer), None) => layer.forward(x),
            (None, _) => self
                .map
                .affine(x, self.theta.value(), Some(self.bias.value())),
        }
    }

    /// The KL, summed; `None` for a plain weight.
    pub(super) fn kl(&self) -> CandleResult<Option<Tensor>> {
        let posterior = self.log_sigma2.as_ref().zip(self.method.prior());
        posterior
            .map(|(log_sigma2, prior)| prior.kl_sum(self.theta.value(), log_sigma2.value()))
            .transpose()
    }

    fn variational(&self) -> CandleResult<Option<Variational<Map>>> {
        let Some(log_sigma2) = &self.log_sigma2 else {
            return Ok(None);
        };
        let weight = (self.theta.value().clone(), log_sigma2.value().clone());
        let bias = Some(self.bias.value().clone());
        Variational::from_map(
            self.map,
            weight,
            bias,
            f64::from(self.method.log_alpha_threshold),
        )
        .map(Some)
    }

    /// A step of every parameter; dead weights stay dead.
    pub(super) fn update(&mut self, descent: Descent<'_>) -> CandleResult<()> {
        self.bias.update(descent, Ok)?;
        self.theta.update(descent, Ok)?;
        match &mut self.log_sigma2 {
            Some(log_sigma2) => log_sigma2.update_log_sigma2(descent),
            None => Ok(()),
        }
    }
}
