//! A fully connected layer whose weights have a posterior.
//!
//! With `q(w) = N(theta, sigma2)`, an output is drawn as `y = mean + sqrt(var + 1e-8) eps`,
//! `mean = x theta^T + b`, `var = x^2 sigma2^T`.
//!
//! ```
//! use candle_core::{Device, Module, Tensor};
//! use vbd_core::layers::{Masking, VariationalLinear};
//! use vbd_core::noise::{NoiseKey, Stream};
//! use vbd_core::prior::Prior;
//!
//! let theta = Tensor::new(&[[0.5_f32, -2.0], [1e-4, 1.0]], &Device::Cpu)?;
//! let log_sigma2 = Tensor::full(-4.0_f32, (2, 2), &Device::Cpu)?;
//! let layer = VariationalLinear::new(theta, log_sigma2, None, 3.0)?;
//!
//! let x = Tensor::new(&[[10.0_f32, 1.0]], &Device::Cpu)?;
//! assert_eq!(layer.forward(&x)?.to_vec2::<f32>()?, [[3.0, 1.0]]); // 1e-4 is pruned
//!
//! let key = NoiseKey { seed: 0, step: 0, stream: Stream::Layer(0) };
//! let y = layer.sample(&x, key, Masking::On)?; // `[batch, out]`, differentiable
//! let kl = layer.kl(Prior::Hierarchical)?;
//! assert_eq!((y.dims(), kl.dims()), (&[1, 2][..], &[][..]));
//! # Ok::<(), candle_core::Error>(())
//! ```

use candle_core::{Module, Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};

use super::{Masking, noise};
use crate::noise::{NoiseKey, Stream};
use crate::posterior::{LOG_SIGMA2_DEAD, LOG_SIGMA2_MAX, VARIANCE_FLOOR, keep_mask, masked};
use crate::prior::Prior;
use crate::recipe::ThetaInit;

/// `y = x W^T + b` with a posterior for each entry of W.
#[derive(Debug, Clone)]
pub struct VariationalLinear {
    theta: Tensor,
    log_sigma2: Tensor,
    bias: Option<Tensor>,
    log_alpha_threshold: f64,
}

impl VariationalLinear {
    /// A layer from its parameters.
    ///
    /// # Shapes
    /// - `theta`, `log_sigma2`: `[out, in]`, of one type, on one device
    /// - `bias`: `[out]`
    ///
    /// # Errors
    /// If the shapes do not agree.
    pub fn new(
        theta: Tensor,
        log_sigma2: Tensor,
        bias: Option<Tensor>,
        log_alpha_threshold: f64,
    ) -> Result<Self> {
        let (out, _) = theta.dims2()?;
        if log_sigma2.dims() != theta.dims() {
            candle_core::bail!("log_sigma2 is {:?}: expected {:?}", log_sigma2.dims(), theta.dims());
        }
        if let Some(bias) = bias.as_ref().filter(|bias| bias.dims() != [out]) {
            candle_core::bail!("bias is {:?}: expected [{out}]", bias.dims());
        }
        Ok(Self { theta, log_sigma2, bias, log_alpha_threshold })
    }

    /// Posterior means, `[out, in]`.
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// Log variances of the posterior, `[out, in]`.
    pub fn log_sigma2(&self) -> &Tensor {
        &self.log_sigma2
    }

    /// Biases, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// 1 where `log_alpha` is under the threshold, `[out, in]`, u8.
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

    /// A training draw; sample `i` of the batch gets the key's draws for sample `i`.
    ///
    /// # Shapes
    /// - `x`: `[batch, in] -> [batch, out]`
    ///
    /// # Errors
    /// If the shapes do not agree or the device fails.
    pub fn sample(&self, x: &Tensor, key: NoiseKey, masking: Masking) -> Result<Tensor> {
        let mask = match masking {
            Masking::On => self.keep_mask()?,
            Masking::Off => self.log_sigma2.lt(f64::from(LOG_SIGMA2_DEAD))?,
        };
        // A dead weight's sigma2 is infinite: its gradient would be 0 * inf without this bound.
        let sigma2 = self.log_sigma2.minimum(f64::from(LOG_SIGMA2_MAX) + 1.0)?.exp()?;
        let mean = self.affine(x, &masked(&mask, &self.theta)?)?;
        let variance = x.sqr()?.matmul(&masked(&mask, &sigma2)?.t()?)?;
        let deviation = (variance + f64::from(VARIANCE_FLOOR))?.sqrt()?;
        let eps = noise(key, mean.dims2()?, x.device())?.to_dtype(x.dtype())?;
        mean + (deviation * eps)?
    }

    fn affine(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&weight.t()?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

impl Module for VariationalLinear {
    /// The mean of the output with pruned weights at zero: `[batch, in] -> [batch, out]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.affine(x, &masked(&self.keep_mask()?, &self.theta)?)
    }
}

/// How a new [`VariationalLinear`] begins.
///
/// Name | Default | Meaning
/// -|-|-
/// `log_alpha_threshold` | 3 | weights at or over it are pruned
/// `log_sigma2_init` | -10 | first `log_sigma2`
/// `theta_init` | `He` | distribution of the first theta
/// `seed` | 0 | seed of the first theta
/// `index` | 0 | number of the layer: its own draws for one seed
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearConfig {
    /// Weights at this `log_alpha` or over it are pruned.
    pub log_alpha_threshold: f64,
    /// First value of every `log_sigma2`.
    pub log_sigma2_init: f64,
    /// How theta is drawn.
    pub theta_init: ThetaInit,
    /// Seed of the first theta.
    pub seed: u64,
    /// Number of the layer.
    pub index: u16,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self {
            log_alpha_threshold: 3.0,
            log_sigma2_init: -10.0,
            theta_init: ThetaInit::He,
            seed: 0,
            index: 0,
        }
    }
}

/// A layer with the variables `weight`, `log_sigma2` and `bias` of `vb`. New ones are drawn from the
/// config's seed; those that `vb` holds already are taken as they are.
///
/// # Errors
/// If `vb` holds a variable of another shape.
pub fn variational_linear(
    in_dim: usize,
    out_dim: usize,
    config: &LinearConfig,
    vb: VarBuilder<'_>,
) -> Result<VariationalLinear> {
    let is_new = !vb.contains_tensor("weight");
    let constant = |value| Init::Const(value);
    let theta = vb.get_with_hints((out_dim, in_dim), "weight", constant(0.0))?;
    if is_new && theta.is_variable() {
        // Candle's own draws cannot be seeded on the CPU.
        let deviation = config.theta_init.deviation(in_dim);
        let drawn = draw_theta((config.seed, config.index), (out_dim, in_dim), deviation);
        let drawn = Tensor::from_vec(drawn, (out_dim, in_dim), theta.device())?;
        Var::from_tensor(&theta)?.set(&drawn.to_dtype(theta.dtype())?)?;
    }
    let log_sigma2 =
        vb.get_with_hints((out_dim, in_dim), "log_sigma2", constant(config.log_sigma2_init))?;
    let bias = vb.get_with_hints(out_dim, "bias", constant(0.0))?;
    VariationalLinear::new(theta, log_sigma2, Some(bias), config.log_alpha_threshold)
}

/// First theta of the layer with this index: normal, `[rows, cols]`.
pub(crate) fn draw_theta(
    (seed, index): (u64, u16),
    (rows, cols): (usize, usize),
    deviation: f32,
) -> Vec<f32> {
    let key = NoiseKey { seed, step: 0, stream: Stream::Init(index) };
    let mut theta = vec![0.0; rows * cols];
    for (row, theta) in (0..).zip(theta.chunks_exact_mut(cols)) {
        key.fill_normal(row, theta);
    }
    theta.iter_mut().for_each(|theta| *theta *= deviation);
    theta
}
