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

use candle_core::{Result, Tensor};

use super::{Variational, WeightedMap};

/// `y = x W^T`, `[batch, in] -> [batch, out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Linear;

impl WeightedMap for Linear {
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        x.matmul(&weight.t()?)
    }
}

/// `y = x W^T + b` with a posterior for each entry of W.
pub type VariationalLinear = Variational<Linear>;

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
        theta.dims2()?;
        Self::from_map(Linear, (theta, log_sigma2), bias, log_alpha_threshold)
    }
}
