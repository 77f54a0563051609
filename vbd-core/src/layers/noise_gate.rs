//! A gate that multiplies each unit by a factor with a posterior.
//!
//! `y = x w`, `w = theta + sigma eps`, with one draw per sample and unit; all positions of a channel
//! share it. Source: Liu et al. 2019, eq. 19; Neklyudov et al. 2017.
//!
//! ```
//! use candle_core::{Device, Module, Tensor};
//! use vbd_core::layers::{LayerOptions, Noise, NoiseGate};
//! use vbd_core::prior::Prior;
//!
//! let theta = Tensor::new(&[-2.0_f32, 1e-4], &Device::Cpu)?;
//! let log_sigma2 = Tensor::full(-4.0_f32, 2, &Device::Cpu)?;
//! let gate = NoiseGate::new(theta, log_sigma2, LayerOptions::named("gate.conv1"))?;
//!
//! let x = Tensor::new(&[[[[1.0_f32, 3.0]], [[5.0, 7.0]]]], &Device::Cpu)?; // `[batch, c, h, w]`
//! let y = gate.forward(&x)?;
//! assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [-2.0, -6.0, 0.0, 0.0]); // 1e-4 is pruned
//!
//! let y = gate.sample(&x, &Noise::new(0).step(0))?; // differentiable
//! let kl = gate.kl(Prior::Hierarchical)?;
//! assert_eq!((y.dims(), kl.dims()), (x.dims(), &[][..]));
//! # Ok::<(), candle_core::Error>(())
//! ```

use candle_core::{Module, Result, Tensor};

use super::claims::Claim;
use super::noise::StepNoise;
use super::variational::{clamped, moments, noise};
use super::{LayerOptions, Masking};
use crate::method::TensorMoments;
use crate::noise::NoiseKey;
use crate::posterior::{keep_mask, masked};
use crate::prior::Prior;

/// A factor with a posterior for each feature or channel. `log_sigma2` is clamped to -40 to 20 in every
/// computation.
#[derive(Debug, Clone)]
pub struct NoiseGate {
    theta: Tensor,
    log_sigma2: Tensor,
    options: LayerOptions,
    /// `Some` for a gate with variables of a `VarBuilder`.
    pub(super) claim: Option<Claim>,
}

impl NoiseGate {
    /// Creates a gate from its parameters.
    ///
    /// # Shapes
    /// - `theta`, `log_sigma2`: `[units]`, same type and device
    ///
    /// # Errors
    /// If the shapes do not match.
    pub fn new(theta: Tensor, log_sigma2: Tensor, options: LayerOptions) -> Result<Self> {
        let units = theta.dims1()?;
        if log_sigma2.dims() != [units] {
            let found = log_sigma2.dims();
            candle_core::bail!("log_sigma2 has shape {found:?}: expected [{units}]");
        }
        Ok(Self {
            theta,
            log_sigma2,
            options,
            claim: None,
        })
    }

    /// Returns the posterior means, `[units]`.
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// Returns the log variances of the posterior, `[units]`.
    pub fn log_sigma2(&self) -> &Tensor {
        &self.log_sigma2
    }

    /// Returns 1 where `log_alpha` is below the threshold, else 0: `[units]`, u8.
    ///
    /// # Errors
    /// If the device fails.
    pub fn keep_mask(&self) -> Result<Tensor> {
        let log_sigma2 = clamped(&self.log_sigma2)?;
        keep_mask(&self.theta, &log_sigma2, self.options.log_alpha_threshold)
    }

    /// Returns the KL divergence from posterior to prior, summed over units: a scalar, in nats.
    ///
    /// # Errors
    /// If the device fails.
    pub fn kl(&self, prior: Prior) -> Result<Tensor> {
        prior.kl_sum(&self.theta, &clamped(&self.log_sigma2)?)
    }

    /// Computes a training draw with all live units. Differentiable. The draw of a factor depends on
    /// its unit and on its sample's index along the leading dimension.
    ///
    /// # Shapes
    /// - `x`: `[batch, units, ...]`
    /// - returns: like `x`
    ///
    /// # Errors
    /// If the shapes do not match or the device fails.
    pub fn sample(&self, x: &Tensor, noise: &StepNoise) -> Result<Tensor> {
        self.draw(x, noise, Masking::Off)
    }

    /// Computes a training draw with units above the threshold at zero. Their KL still updates them.
    ///
    /// # Errors
    /// Those of [`NoiseGate::sample`].
    pub fn sample_masked(&self, x: &Tensor, noise: &StepNoise) -> Result<Tensor> {
        self.draw(x, noise, Masking::On)
    }

    fn draw(&self, x: &Tensor, noise: &StepNoise, masking: Masking) -> Result<Tensor> {
        let log_sigma2 = clamped(&self.log_sigma2)?;
        let parameters = (&self.theta, &log_sigma2);
        let (mean, sigma2) = moments(parameters, self.options.log_alpha_threshold, masking)?;
        let moments = TensorMoments {
            mean,
            variance: Some(sigma2),
            alive_rows: None,
        };
        gated(x, &moments, noise.key(self.options.stream))
    }
}

/// Multiplies `x` by a draw of each unit's factor from its mean and variance; see
/// [`NoiseGate::sample`].
pub(crate) fn gated(x: &Tensor, moments: &TensorMoments, key: NoiseKey) -> Result<Tensor> {
    let theta = &moments.mean;
    let Some(sigma2) = &moments.variance else {
        return multiply(x, &theta.unsqueeze(0)?);
    };
    // A masked unit has variance 0, and the gradient of its root would be 0 * inf.
    let is_noisy = sigma2.gt(0.0)?;
    let sigma = is_noisy.where_cond(sigma2, &sigma2.ones_like()?)?.sqrt()?;
    let sigma = masked(&is_noisy, &sigma)?;
    let eps = noise(key, x.dim(0)?, theta)?;
    multiply(x, &eps.broadcast_mul(&sigma)?.broadcast_add(theta)?)
}

impl Module for NoiseGate {
    /// Computes the mean output with pruned units at zero, `[batch, units, ...]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let theta = masked(&self.keep_mask()?, &self.theta)?;
        multiply(x, &theta.unsqueeze(0)?)
    }
}

/// Multiplies `x` `[batch, units, ...]` by `factor` `[batch or 1, units]`.
pub(crate) fn multiply(x: &Tensor, factor: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    shape[..2].copy_from_slice(factor.dims());
    x.broadcast_mul(&factor.reshape(shape)?)
}
