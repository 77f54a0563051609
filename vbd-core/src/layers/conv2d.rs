//! A convolution whose weights have a posterior.
//!
//! With `q(w) = N(theta, sigma2)`, each element of the output is drawn as
//! `y = mean + sqrt(var + 1e-8) eps`, `mean = conv(x, theta) + b`, `var = conv(x^2, sigma2)`. A weight
//! is used at many positions, and its draws there are independent: the moments of each element are
//! right, the correlation between positions is not kept.
//!
//! ```
//! use candle_core::{DType, Device, Module, Tensor};
//! use vbd_core::layers::{Conv2d, Masking, VariationalConv2d};
//! use vbd_core::noise::{NoiseKey, Stream};
//!
//! let theta = Tensor::new(&[[[[0.5_f32, -2.0], [1e-4, 1.0]]]], &Device::Cpu)?; // [out, in, kh, kw]
//! let log_sigma2 = Tensor::full(-4.0_f32, (1, 1, 2, 2), &Device::Cpu)?;
//! let conv = Conv2d { stride: 1, padding: 0 };
//! let layer = VariationalConv2d::new(theta, log_sigma2, None, conv, 3.0)?;
//!
//! let x = Tensor::arange(0.0_f32, 6.0, &Device::Cpu)?.reshape((1, 1, 2, 3))?;
//! // 0.5 * 0 - 2 * 1 + 1 * 4 and 0.5 * 1 - 2 * 2 + 1 * 5: 1e-4 is pruned
//! assert_eq!(layer.forward(&x)?.flatten_all()?.to_vec1::<f32>()?, [2.0, 1.5]);
//!
//! let key = NoiseKey { seed: 0, step: 0, stream: Stream::Layer(0) };
//! let y = layer.sample(&x, key, Masking::On)?; // differentiable
//! assert_eq!(y.dims(), [1, 1, 1, 2]);
//! # Ok::<(), candle_core::Error>(())
//! ```

use candle_core::{Result, Tensor};

use super::{Variational, WeightedMap};

/// Convolution with equal strides and paddings in both directions,
/// `[batch, in, h, w] -> [batch, out, h', w']`, `h' = (h + 2 padding - kernel) / stride + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Step between positions.
    pub stride: usize,
    /// Zeros added on every side.
    pub padding: usize,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
        }
    }
}

/// A convolution with a posterior for each entry of its weight.
pub type VariationalConv2d = Variational<Conv2d>;

impl VariationalConv2d {
    /// A layer from its parameters.
    ///
    /// # Shapes
    /// - `theta`, `log_sigma2`: `[out, in, kh, kw]`, of one type, on one device
    /// - `bias`: `[out]`
    ///
    /// # Errors
    /// If the shapes do not agree, or the stride is 0.
    pub fn new(
        theta: Tensor,
        log_sigma2: Tensor,
        bias: Option<Tensor>,
        conv: Conv2d,
        log_alpha_threshold: f64,
    ) -> Result<Self> {
        theta.dims4()?;
        if conv.stride == 0 {
            candle_core::bail!("the stride of a convolution is 0");
        }
        Self::from_map(conv, (theta, log_sigma2), bias, log_alpha_threshold)
    }
}

impl WeightedMap for Conv2d {
    /// Candle's convolution. Its backward pass takes the rows that the last window leaves over to be
    /// as many as the columns, and at most as many as the image has; so where any are left over, the
    /// input is padded and cut to what the windows cover.
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Self { stride, padding } = *self;
        let rows = self.cover(x.dim(2)?, weight.dim(2)?)?;
        let columns = self.cover(x.dim(3)?, weight.dim(3)?)?;
        if rows.left_over == 0 && columns.left_over == 0 {
            return x.conv2d(weight, padding, stride, 1, 1);
        }
        let x = x
            .pad_with_zeros(2, padding, padding)?
            .pad_with_zeros(3, padding, padding)?;
        let x = x
            .narrow(2, 0, rows.covered)?
            .narrow(3, 0, columns.covered)?;
        x.conv2d(weight, 0, stride, 1, 1)
    }
}

/// How the windows lie along one side of a padded input.
struct Cover {
    covered: usize,
    left_over: usize,
}

impl Conv2d {
    fn cover(&self, size: usize, kernel: usize) -> Result<Cover> {
        let padded = size + 2 * self.padding;
        let room = padded.checked_sub(kernel);
        let Some(left_over) = room.and_then(|room| room.checked_rem(self.stride)) else {
            let stride = self.stride;
            candle_core::bail!("kernel {kernel}, stride {stride} do not fit a side of {padded}");
        };
        Ok(Cover {
            covered: padded - left_over,
            left_over,
        })
    }
}
