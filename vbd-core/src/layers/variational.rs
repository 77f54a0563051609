//! What all layers with a posterior share, whatever their weight is multiplied with.

use candle_core::{DType, Module, Result, Tensor};

use crate::method::TensorMoments;
use crate::noise::NoiseKey;
use crate::posterior::{
    LOG_SIGMA2_DEAD, LOG_SIGMA2_MAX, VARIANCE_FLOOR, keep_mask, keep_mask_on_device, masked,
};
use crate::prior::Prior;

/// Which weights take part in a training draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masking {
    /// All live weights: while `kl_scale` is 0.
    Off,
    /// Those under the threshold.
    On,
}

/// A map each of whose outputs is a sum of inputs times weights, no weight twice in one sum.
///
/// So with independent weights the variance of an output is the map of the squared inputs by the
/// weights' variances: what local reparameterisation needs, and all that it needs.
pub trait WeightedMap {
    /// The output without a bias.
    ///
    /// # Shapes
    /// - `x`: `[batch, ...]`
    /// - `weight`: `[out, ...]`
    /// - returns: `[batch, out, ...]`
    ///
    /// # Errors
    /// If the shapes do not agree or the device fails.
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// The output with a bias for each index along dimension 1.
    ///
    /// # Shapes
    /// - `bias`: `[out]`; the others as for [`WeightedMap::apply`]
    ///
    /// # Errors
    /// As [`WeightedMap::apply`].
    fn affine(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let y = self.apply(x, weight)?;
        let Some(bias) = bias else { return Ok(y) };
        let mut shape = vec![1; y.rank()];
        shape[1] = bias.elem_count();
        y.broadcast_add(&bias.reshape(shape)?)
    }
}

/// A layer with a posterior for each entry of its weight; see [`super::VariationalLinear`] and
/// [`super::VariationalConv2d`].
#[derive(Debug, Clone)]
pub struct Variational<M> {
    map: M,
    theta: Tensor,
    log_sigma2: Tensor,
    bias: Option<Tensor>,
    log_alpha_threshold: f64,
}

impl<M> Variational<M> {
    /// A layer from its map and its parameters.
    ///
    /// # Shapes
    /// - `theta`, `log_sigma2`: the map's weight, `[out, ...]`, of one type, on one device
    /// - `bias`: `[out]`
    ///
    /// # Errors
    /// If the shapes do not agree.
    pub fn from_map(
        map: M,
        (theta, log_sigma2): (Tensor, Tensor),
        bias: Option<Tensor>,
        log_alpha_threshold: f64,
    ) -> Result<Self> {
        let out = theta.dim(0)?;
        if log_sigma2.dims() != theta.dims() {
            candle_core::bail!(
                "log_sigma2 is {:?}: expected {:?}",
                log_sigma2.dims(),
                theta.dims()
            );
        }
        if let Some(bias) = bias.as_ref().filter(|bias| bias.dims() != [out]) {
            candle_core::bail!("bias is {:?}: expected [{out}]", bias.dims());
        }
        Ok(Self {
            map,
            theta,
            log_sigma2,
            bias,
            log_alpha_threshold,
        })
    }

    /// What the weight is multiplied with, and how.
    pub fn map(&self) -> &M {
        &self.map
    }

    /// Posterior means, `[out, ...]`.
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// Log variances of the posterior, `[out, ...]`.
    pub fn log_sigma2(&self) -> &Tensor {
        &self.log_sigma2
    }

    /// Biases, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// 1 where `log_alpha` is under the threshold, `[out, ...]`, u8.
    ///
    /// # Errors
    /// If the device fails.
    pub fn keep_mask(&self) -> Result<Tensor> {
        keep_mask(&self.theta, &self.log_sigma2, self.log_alpha_threshold)
    }

    /// The KL from posterior to prior, summed over the weights: a scalar, in nats, to be added to
    /// the loss.
    ///
    /// # Errors
    /// If the device fails.
    pub fn kl(&self, prior: Prior) -> Result<Tensor> {
        prior.kl_sum(&self.theta, &self.log_sigma2)
    }
}

impl<M: WeightedMap> Variational<M> {
    /// A training draw by local reparameterisation: one for each output element. Sample `i` of the
    /// batch gets the key's draws for sample `i`; the unit is the element's flat index in the output
    /// of one sample. An output whose weights are all dead for good is its bias, without noise.
    ///
    /// # Shapes
    /// - `x`: `[batch, ...] -> [batch, out, ...]`
    ///
    /// # Errors
    /// If the shapes do not agree or the device fails.
    pub fn sample(&self, x: &Tensor, key: NoiseKey, masking: Masking) -> Result<Tensor> {
        let parameters = (&self.theta, &self.log_sigma2);
        let (mean, sigma2) = moments(parameters, self.log_alpha_threshold, masking)?;
        let moments = TensorMoments {
            mean,
            variance: Some(sigma2),
            alive_rows: Some(alive_rows(&self.log_sigma2)?),
        };
        sample(&self.map, x, &moments, self.bias.as_ref(), key)
    }
}

/// A draw of a map's outputs by local reparameterisation, from the means and variances of its weight; see
/// [`Variational::sample`].
pub(crate) fn sample<M: WeightedMap>(
    map: &M,
    x: &Tensor,
    moments: &TensorMoments,
    bias: Option<&Tensor>,
    key: NoiseKey,
) -> Result<Tensor> {
    let mean = map.affine(x, &moments.mean, bias)?;
    let Some(sigma2) = &moments.variance else {
        return Ok(mean);
    };
    let variance = map.apply(&x.sqr()?, sigma2)?;
    let deviation = (variance + f64::from(VARIANCE_FLOOR))?.sqrt()?;
    let mut eps = noise(key, mean.dim(0)?, &mean.get(0)?)?;
    if let Some(alive) = &moments.alive_rows {
        let mut shape = vec![1; mean.rank()];
        shape[1] = mean.dim(1)?;
        eps = masked(&alive.reshape(shape)?.broadcast_as(mean.dims())?, &eps)?;
    }
    mean + (deviation * eps)?
}

/// 1 for a row with a weight that is not dead for good, or of a gate for such a unit: `[out]`, u8.
pub(crate) fn alive_rows(log_sigma2: &Tensor) -> Result<Tensor> {
    let alive = log_sigma2.lt(f64::from(LOG_SIGMA2_DEAD))?;
    if alive.rank() == 1 {
        return Ok(alive);
    }
    let rows = alive.to_dtype(DType::F32)?.flatten_from(1)?.max(1)?;
    rows.gt(0.0)
}

impl<M: WeightedMap> Module for Variational<M> {
    /// The mean of the output with pruned weights at zero: `[batch, ...] -> [batch, out, ...]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let theta = masked(&self.keep_mask()?, &self.theta)?;
        self.map.affine(x, &theta, self.bias.as_ref())
    }
}

/// Means and variances of what takes part in a draw, 0 for the others.
pub(crate) fn moments(
    (theta, log_sigma2): (&Tensor, &Tensor),
    log_alpha_threshold: f64,
    masking: Masking,
) -> Result<(Tensor, Tensor)> {
    let mask = match masking {
        Masking::On if theta.device().is_cpu() => {
            keep_mask(theta, log_sigma2, log_alpha_threshold)?
        }
        Masking::On => keep_mask_on_device(theta, log_sigma2, log_alpha_threshold)?,
        Masking::Off => log_sigma2.lt(f64::from(LOG_SIGMA2_DEAD))?,
    };
    // What is dead has an infinite sigma2: its gradient would be 0 * inf without this bound.
    let sigma2 = log_sigma2.minimum(f64::from(LOG_SIGMA2_MAX) + 1.0)?.exp()?;
    Ok((masked(&mask, theta)?, masked(&mask, &sigma2)?))
}

/// The noise on units, drawn on the host: the same on every device.
///
/// # Shapes
/// - `units`: one sample's, `[...]`, for its type and device
/// - returns: `[batch, ...]`
pub(super) fn noise(key: NoiseKey, batch: usize, units: &Tensor) -> Result<Tensor> {
    drawn(|unit, row| key.fill_normal(unit, row), batch, units)
}

/// [`noise`] by any rule that draws a unit's numbers for each sample.
pub(crate) fn drawn(
    draw: impl Fn(u32, &mut [f32]),
    batch: usize,
    units: &Tensor,
) -> Result<Tensor> {
    let count = units.elem_count();
    let mut draws = vec![0.0_f32; batch * count];
    for (unit, row) in (0..).zip(draws.chunks_exact_mut(batch.max(1))) {
        draw(unit, row);
    }
    let draws = Tensor::from_vec(draws, (count, batch), units.device())?;
    draws
        .t()?
        .contiguous()?
        .reshape([&[batch], units.dims()].concat())?
        .to_dtype(units.dtype())
}
