//! A fully connected layer whose weights have a posterior.
//!
//! With `q(w) = N(theta, sigma2)`, an output is drawn as `y = mean + sqrt(var + 1e-8) eps`,
//! `mean = x theta^T + b`, `var = x^2 sigma2^T`.
//!
//! ```
//! use candle_core::{Device, Module, Tensor};
//! use vbd_core::layers::{LayerOptions, Noise, Posterior, VariationalLinear};
//! use vbd_core::prior::Prior;
//!
//! let theta = Tensor::new(&[[0.5_f32, -2.0], [1e-4, 1.0]], &Device::Cpu)?;
//! let log_sigma2 = Tensor::full(-4.0_f32, (2, 2), &Device::Cpu)?;
//! let posterior = Posterior::new(theta, log_sigma2);
//! let layer = VariationalLinear::new(posterior, None, LayerOptions::named("fc1"))?;
//!
//! let x = Tensor::new(&[[10.0_f32, 1.0]], &Device::Cpu)?;
//! assert_eq!(layer.forward(&x)?.to_vec2::<f32>()?, [[3.0, 1.0]]); // 1e-4 is pruned
//!
//! let y = layer.sample(&x, &Noise::new(0).step(0))?; // `[batch, out]`, differentiable
//! let kl = layer.kl(Prior::Hierarchical)?;
//! assert_eq!((y.dims(), kl.dims()), (&[1, 2][..], &[][..]));
//! # Ok::<(), candle_core::Error>(())
//! ```

use candle_core::{D, Result, Tensor};

use super::{LayerOptions, Posterior, Variational, WeightedMap};

/// `y = x W^T`, `[batch, ..., in] -> [batch, ..., out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinearMap;

impl WeightedMap for LinearMap {
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let weight = weight.t()?;
        if x.rank() == 2 {
            return x.matmul(&weight);
        }
        let mut shape = x.dims().to_vec();
        let features = x.dim(D::Minus1)?;
        let y = x.reshape(((), features))?.matmul(&weight)?;
        if let Some(last) = shape.last_mut() {
            *last = y.dim(1)?;
        }
        y.reshape(shape)
    }

    fn out_dim(&self, rank: usize) -> usize {
        rank - 1
    }
}

/// `y = x W^T + b` with a posterior for each entry of W.
pub type VariationalLinear = Variational<LinearMap>;

impl VariationalLinear {
    /// Creates a layer from its parameters.
    ///
    /// # Shapes
    /// - `posterior`: `[out, in]`, same type and device
    /// - `bias`: `[out]`
    ///
    /// # Errors
    /// If the shapes do not match.
    pub fn new(posterior: Posterior, bias: Option<Tensor>, options: LayerOptions) -> Result<Self> {
        posterior.theta.dims2()?;
        Self::from_map(LinearMap, posterior, bias, options)
    }
}
