//! Code shared by all layers with a posterior.

use candle_core::{DType, Module, Result, Tensor};

use super::claims::Claim;
use super::noise::StepNoise;
use crate::method::TensorMoments;
use crate::noise::{NoiseKey, Stream};
use crate::posterior::{
    LOG_SIGMA2_DEAD, LOG_SIGMA2_MAX, LOG_SIGMA2_MIN, VARIANCE_FLOOR, keep_mask,
    keep_mask_on_device, masked,
};
use crate::prior::Prior;

/// Which weights a training draw uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masking {
    /// All live weights. For steps with `kl_scale` 0.
    Off,
    /// Weights below the threshold.
    On,
}

/// A linear map: each output is a sum of inputs times weights, with each weight at most once.
///
/// With independent weights, the variance of an output is therefore the map of the squared inputs with
/// the weights' variances. Local reparameterisation needs nothing else.
pub trait WeightedMap {
    /// Computes the output without a bias.
    ///
    /// # Shapes
    /// - `x`: `[batch, ...]`
    /// - `weight`: `[out, ...]`
    /// - returns: `[batch, out, ...]`, or `out` in the dimension [`WeightedMap::out_dim`]
    ///
    /// # Errors
    /// If the shapes do not match or the device fails.
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// Returns the dimension of `out` in an output of this rank.
    fn out_dim(&self, _rank: usize) -> usize {
        1
    }

    /// Computes the output with a bias.
    ///
    /// # Shapes
    /// - `bias`: `[out]`; otherwise as for [`WeightedMap::apply`]
    ///
    /// # Errors
    /// Those of [`WeightedMap::apply`].
    fn affine(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let y = self.apply(x, weight)?;
        let Some(bias) = bias else { return Ok(y) };
        let mut shape = vec![1; y.rank()];
        shape[self.out_dim(y.rank())] = bias.elem_count();
        y.broadcast_add(&bias.reshape(shape)?)
    }
}

/// Variances of a weight's posterior.
#[derive(Debug, Clone)]
pub enum Spread {
    /// Log variance of each entry, in the weight's shape.
    LogSigma2(Tensor),
    /// Logarithm of an alpha per row or of one alpha, `[out]` or `[1]`: `sigma2 = alpha theta^2`.
    /// Nothing is pruned.
    LogAlpha(Tensor),
}

/// A weight with its posterior.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// Means, `[out, ...]`.
    pub theta: Tensor,
    /// Variances.
    pub spread: Spread,
}

impl Posterior {
    /// Creates a posterior with a variance per entry.
    pub fn new(theta: Tensor, log_sigma2: Tensor) -> Self {
        Self {
            theta,
            spread: Spread::LogSigma2(log_sigma2),
        }
    }

    fn check(&self) -> Result<()> {
        let theta = self.theta.dims();
        match &self.spread {
            Spread::LogSigma2(log_sigma2) if log_sigma2.dims() != theta => {
                let found = log_sigma2.dims();
                candle_core::bail!("log_sigma2 has shape {found:?}: expected {theta:?}")
            }
            Spread::LogAlpha(log_alpha) if ![1, theta[0]].contains(&log_alpha.dims1()?) => {
                let found = log_alpha.dims();
                candle_core::bail!(
                    "log_alpha has shape {found:?}: expected [1] or [{}]",
                    theta[0]
                )
            }
            _ => Ok(()),
        }
    }

    /// Returns the shared `log_alpha`, clamped, in a shape that broadcasts over the weight.
    fn shared(&self, log_alpha: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; self.theta.rank()];
        shape[0] = log_alpha.elem_count();
        log_alpha
            .clamp(LOG_SIGMA2_MIN, LOG_SIGMA2_MAX)?
            .reshape(shape)
    }

    fn moments(&self, log_alpha_threshold: f64, masking: Masking) -> Result<TensorMoments> {
        match &self.spread {
            Spread::LogSigma2(log_sigma2) => {
                let log_sigma2 = clamped(log_sigma2)?;
                let parameters = (&self.theta, &log_sigma2);
                let (mean, sigma2) = moments(parameters, log_alpha_threshold, masking)?;
                Ok(TensorMoments {
                    mean,
                    variance: Some(sigma2),
                    alive_rows: Some(alive_rows(&log_sigma2)?),
                })
            }
            Spread::LogAlpha(log_alpha) => {
                let alpha = self.shared(log_alpha)?.exp()?;
                Ok(TensorMoments {
                    mean: self.theta.clone(),
                    variance: Some(self.theta.sqr()?.broadcast_mul(&alpha)?),
                    alive_rows: None,
                })
            }
        }
    }

    pub(super) fn keep_mask(&self, log_alpha_threshold: f64) -> Result<Tensor> {
        match &self.spread {
            Spread::LogSigma2(log_sigma2) => {
                keep_mask(&self.theta, &clamped(log_sigma2)?, log_alpha_threshold)
            }
            Spread::LogAlpha(_) => self.theta.ne(0.0),
        }
    }

    pub(super) fn kl(&self, prior: Prior) -> Result<Tensor> {
        match &self.spread {
            Spread::LogSigma2(log_sigma2) => prior.kl_sum(&self.theta, &clamped(log_sigma2)?),
            Spread::LogAlpha(log_alpha) => {
                let kl = prior.kl_of(&self.shared(log_alpha)?)?;
                let alive = self.theta.ne(0.0)?.to_dtype(kl.dtype())?;
                alive.broadcast_mul(&kl)?.sum_all()
            }
        }
    }
}

/// A layer with a posterior over its weight; see [`super::VariationalLinear`] and
/// [`super::VariationalConv2d`].
///
/// `log_sigma2` is clamped to -40 to 20 in every computation, because an optimiser does not bound it.
/// Do not apply weight decay to it: decay pulls it towards 0, that is, a variance of 1.
#[derive(Debug, Clone)]
pub struct Variational<M> {
    map: M,
    posterior: Posterior,
    bias: Option<Tensor>,
    log_alpha_threshold: f64,
    stream: Stream,
    /// `Some` for a layer with variables of a `VarBuilder`.
    pub(super) claim: Option<Claim>,
}

/// Options of a layer that is created from tensors.
///
/// Name | Default | Meaning
/// -|-|-
/// `log_alpha_threshold` | 3 | weights with `log_alpha` at or above this are pruned
/// `stream` | | noise stream of the layer: [`Stream::named`] with a unique name
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerOptions {
    /// Weights with `log_alpha` at or above this are pruned.
    pub log_alpha_threshold: f64,
    /// Noise stream of the layer.
    pub stream: Stream,
}

impl LayerOptions {
    /// Creates options with the threshold 3 and the noise stream of this name.
    pub fn named(name: &str) -> Self {
        Self {
            log_alpha_threshold: 3.0,
            stream: Stream::named(name),
        }
    }
}

impl<M> Variational<M> {
    /// Creates a layer from its map and its parameters.
    ///
    /// # Shapes
    /// - `posterior`: `[out, ...]`, the shape of the map's weight, same type and device
    /// - `bias`: `[out]`
    ///
    /// # Errors
    /// If the shapes do not match.
    pub fn from_map(
        map: M,
        posterior: Posterior,
        bias: Option<Tensor>,
        options: LayerOptions,
    ) -> Result<Self> {
        posterior.check()?;
        let out = posterior.theta.dim(0)?;
        if let Some(bias) = bias.as_ref().filter(|bias| bias.dims() != [out]) {
            candle_core::bail!("bias has shape {:?}: expected [{out}]", bias.dims());
        }
        Ok(Self {
            map,
            posterior,
            bias,
            log_alpha_threshold: options.log_alpha_threshold,
            stream: options.stream,
            claim: None,
        })
    }

    /// Returns the map.
    pub fn map(&self) -> &M {
        &self.map
    }

    /// Returns the posterior means, `[out, ...]`.
    pub fn theta(&self) -> &Tensor {
        &self.posterior.theta
    }

    /// Returns the variances of the posterior.
    pub fn spread(&self) -> &Spread {
        &self.posterior.spread
    }

    /// Returns the biases, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Returns 1 where a weight is kept, else 0: `[out, ...]`, u8. A weight is kept if its `log_alpha`
    /// is below the threshold, or with a shared alpha if its theta is not 0.
    ///
    /// # Errors
    /// If the device fails.
    pub fn keep_mask(&self) -> Result<Tensor> {
        self.posterior.keep_mask(self.log_alpha_threshold)
    }

    /// Returns the KL divergence from posterior to prior, summed over weights: a scalar, in nats.
    /// Multiply it by `kl_scale / N`, for N training samples, and add it to the loss; `kl_scale` rises
    /// from 0 to 1 early in training, see the [module](crate::layers).
    ///
    /// # Errors
    /// If the device fails.
    pub fn kl(&self, prior: Prior) -> Result<Tensor> {
        self.posterior.kl(prior)
    }
}

impl<M: WeightedMap> Variational<M> {
    /// Computes a training draw by local reparameterisation with all live weights. Differentiable. For
    /// steps in which `kl_scale` is 0; for the others use [`Variational::sample_masked`].
    ///
    /// Each output element has its own draw, which depends on the sample's index along the leading
    /// dimension and on the element's flat index in one sample's output. If all weights of an output
    /// are dead, the output is its bias without noise.
    ///
    /// # Shapes
    /// - `x`: `[batch, ...] -> [batch, ...]`, depending on the map
    ///
    /// # Errors
    /// If the shapes do not match or the device fails.
    pub fn sample(&self, x: &Tensor, noise: &StepNoise) -> Result<Tensor> {
        self.draw(x, noise, Masking::Off)
    }

    /// Computes a training draw in which weights above the threshold have zero mean, variance and
    /// data gradients. Their KL still updates them, so they may return. For steps with a positive
    /// `kl_scale`.
    ///
    /// # Errors
    /// Those of [`Variational::sample`].
    pub fn sample_masked(&self, x: &Tensor, noise: &StepNoise) -> Result<Tensor> {
        self.draw(x, noise, Masking::On)
    }

    fn draw(&self, x: &Tensor, noise: &StepNoise, masking: Masking) -> Result<Tensor> {
        let moments = self.posterior.moments(self.log_alpha_threshold, masking)?;
        let key = noise.key(self.stream);
        sample(&self.map, x, &moments, self.bias.as_ref(), key)
    }
}

impl<M: WeightedMap> Module for Variational<M> {
    /// Computes the mean output with pruned weights at zero, `[batch, ...] -> [batch, ...]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let theta = masked(&self.keep_mask()?, self.theta())?;
        self.map.affine(x, &theta, self.bias.as_ref())
    }
}

/// Clamps `log_sigma2` to its bounds, except for dead entries.
pub(super) fn clamped(log_sigma2: &Tensor) -> Result<Tensor> {
    let alive = log_sigma2.lt(f64::from(LOG_SIGMA2_DEAD))?;
    alive.where_cond(
        &log_sigma2.clamp(LOG_SIGMA2_MIN, LOG_SIGMA2_MAX)?,
        log_sigma2,
    )
}

/// Draws a map's outputs by local reparameterisation from the means and variances of its weight; see
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
        let (mut shape, out) = (vec![1; mean.rank()], map.out_dim(mean.rank()));
        shape[out] = mean.dim(out)?;
        eps = masked(&alive.reshape(shape)?.broadcast_as(mean.dims())?, &eps)?;
    }
    mean + (deviation * eps)?
}

/// Returns 1 for each row with a live weight, or for each live unit of a gate: `[out]`, u8.
pub(crate) fn alive_rows(log_sigma2: &Tensor) -> Result<Tensor> {
    let alive = log_sigma2.lt(f64::from(LOG_SIGMA2_DEAD))?;
    if alive.rank() == 1 {
        return Ok(alive);
    }
    let rows = alive.to_dtype(DType::F32)?.flatten_from(1)?.max(1)?;
    rows.gt(0.0)
}

/// Returns means and variances, set to 0 for entries that are not used in a draw.
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
    // Dead entries have an infinite sigma2. Without this bound their gradient would be 0 * inf.
    let sigma2 = log_sigma2.minimum(f64::from(LOG_SIGMA2_MAX) + 1.0)?.exp()?;
    Ok((masked(&mask, theta)?, masked(&mask, &sigma2)?))
}

/// Draws normal noise on the host, so that all devices get the same.
///
/// # Shapes
/// - `units`: one sample, `[...]`, which determines type and device
/// - returns: `[batch, ...]`
pub(super) fn noise(key: NoiseKey, batch: usize, units: &Tensor) -> Result<Tensor> {
    drawn(|unit, row| key.fill_normal(unit, row), batch, units)
}

/// Like [`noise`], where `draw` draws the numbers of a unit for all samples.
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
