//! What all layers with a posterior share, whatever their weight is multiplied with.

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
    /// - returns: `[batch, out, ...]`, or with the outputs in another place, see [`WeightedMap::out_dim`]
    ///
    /// # Errors
    /// If the shapes do not agree or the device fails.
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// The dimension of the outputs, in an output of this rank.
    fn out_dim(&self, _rank: usize) -> usize {
        1
    }

    /// The output with a bias for each index along the outputs' dimension.
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
        shape[self.out_dim(y.rank())] = bias.elem_count();
        y.broadcast_add(&bias.reshape(shape)?)
    }
}

/// The variances of a weight's posterior.
#[derive(Debug, Clone)]
pub enum Spread {
    /// The logarithm of each entry's own variance, in the weight's shape.
    LogSigma2(Tensor),
    /// The logarithm of the alpha that a row or the whole weight shares, `[out]` or `[1]`: `sigma2 = alpha theta^2`.
    /// Nothing is pruned by it.
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
    /// A posterior with a variance for each entry.
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

    /// `log_alpha` of a row or of all, for the weight's shape.
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
/// In every use `log_sigma2` is clamped to -40 to 20, for a caller's optimiser knows no bounds. Let no weight decay
/// act on it: decay would pull it towards 0, a variance of 1.
#[derive(Debug, Clone)]
pub struct Variational<M> {
    map: M,
    posterior: Posterior,
    bias: Option<Tensor>,
    log_alpha_threshold: f64,
    stream: Stream,
    /// Of a layer whose variables come from a `VarBuilder`.
    pub(super) claim: Option<Claim>,
}

/// What a layer made of tensors needs beside them.
///
/// Name | Default | Meaning
/// -|-|-
/// `log_alpha_threshold` | 3 | weights at or over it are pruned
/// `stream` | | the noise of the layer: [`Stream::named`] with a name that no other layer has
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerOptions {
    /// Weights at this `log_alpha` or over it are pruned.
    pub log_alpha_threshold: f64,
    /// The noise of the layer.
    pub stream: Stream,
}

impl LayerOptions {
    /// The options of a layer of this name, with the threshold 3.
    pub fn named(name: &str) -> Self {
        Self {
            log_alpha_threshold: 3.0,
            stream: Stream::named(name),
        }
    }
}

impl<M> Variational<M> {
    /// A layer from its map and its parameters.
    ///
    /// # Shapes
    /// - `posterior`: the map's weight, `[out, ...]`, of one type, on one device
    /// - `bias`: `[out]`
    ///
    /// # Errors
    /// If the shapes do not agree.
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

    /// What the weight is multiplied with, and how.
    pub fn map(&self) -> &M {
        &self.map
    }

    /// Posterior means, `[out, ...]`.
    pub fn theta(&self) -> &Tensor {
        &self.posterior.theta
    }

    /// Variances of the posterior.
    pub fn spread(&self) -> &Spread {
        &self.posterior.spread
    }

    /// Biases, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// 1 where a weight is kept: `log_alpha` under the threshold, or theta not 0 where alpha is shared. `[out, ...]`, u8.
    ///
    /// # Errors
    /// If the device fails.
    pub fn keep_mask(&self) -> Result<Tensor> {
        self.posterior.keep_mask(self.log_alpha_threshold)
    }

    /// The KL from posterior to prior, summed over the weights: a scalar, in nats, to be added to
    /// the loss times `kl_scale / N`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn kl(&self, prior: Prior) -> Result<Tensor> {
        self.posterior.kl(prior)
    }
}

impl<M: WeightedMap> Variational<M> {
    /// A training draw by local reparameterisation, all live weights taking part: one for each output element.
    /// Differentiable.
    ///
    /// Row `i` along the leading dimension gets the draws of sample `i`; the unit is the element's flat index in the
    /// output of one sample. An output whose weights are all dead for good is its bias, without noise.
    ///
    /// # Shapes
    /// - `x`: `[batch, ...] -> [batch, ...]`, as the map has it
    ///
    /// # Errors
    /// If the shapes do not agree or the device fails.
    pub fn sample(&self, x: &Tensor, noise: &StepNoise) -> Result<Tensor> {
        self.draw(x, noise, Masking::Off)
    }

    /// The same, with weights over the threshold at zero: mean, variance and gradients of the data. Their KL still
    /// moves them, so that they may come back. For steps in which the KL counts.
    ///
    /// # Errors
    /// As [`Variational::sample`].
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
    /// The mean of the output with pruned weights at zero: `[batch, ...] -> [batch, ...]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let theta = masked(&self.keep_mask()?, self.theta())?;
        self.map.affine(x, &theta, self.bias.as_ref())
    }
}

/// `log_sigma2` in its bounds, dead entries as they are.
pub(super) fn clamped(log_sigma2: &Tensor) -> Result<Tensor> {
    let alive = log_sigma2.lt(f64::from(LOG_SIGMA2_DEAD))?;
    alive.where_cond(
        &log_sigma2.clamp(LOG_SIGMA2_MIN, LOG_SIGMA2_MAX)?,
        log_sigma2,
    )
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
        let (mut shape, out) = (vec![1; mean.rank()], map.out_dim(mean.rank()));
        shape[out] = mean.dim(out)?;
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
