//! A convolution whose weights have a posterior.
//!
//! With `q(w) = N(theta, sigma2)`, each element of the output is drawn as
//! `y = mean + sqrt(var + 1e-8) eps`, `mean = conv(x, theta) + b`, `var = conv(x^2, sigma2)`. Draws at
//! different positions are independent: the mean and variance of each element are exact, but the
//! correlation between positions that share a weight is lost.
//!
//! ```
//! use candle_core::{Device, Module, Tensor};
//! use vbd_core::layers::{Conv2dMap, LayerOptions, Noise, Posterior, VariationalConv2d};
//!
//! let theta = Tensor::new(&[[[[0.5_f32, -2.0], [1e-4, 1.0]]]], &Device::Cpu)?; // [out, in, kh, kw]
//! let log_sigma2 = Tensor::full(-4.0_f32, (1, 1, 2, 2), &Device::Cpu)?;
//! let posterior = Posterior::new(theta, log_sigma2);
//! let options = LayerOptions::named("conv1");
//! let layer = VariationalConv2d::new(posterior, None, Conv2dMap::default(), options)?;
//!
//! let x = Tensor::arange(0.0_f32, 6.0, &Device::Cpu)?.reshape((1, 1, 2, 3))?;
//! // 0.5 * 0 - 2 * 1 + 1 * 4 and 0.5 * 1 - 2 * 2 + 1 * 5: 1e-4 is pruned
//! assert_eq!(layer.forward(&x)?.flatten_all()?.to_vec1::<f32>()?, [2.0, 1.5]);
//!
//! let y = layer.sample(&x, &Noise::new(0).step(0))?; // differentiable
//! assert_eq!(y.dims(), [1, 1, 1, 2]);
//! # Ok::<(), candle_core::Error>(())
//! ```

use candle_core::{Result, Tensor};

use candle_nn::Conv2dConfig;

use super::{LayerOptions, Posterior, Variational, WeightedMap};

/// Convolution with equal strides, paddings and dilations in both directions,
/// `[batch, in, h, w] -> [batch, out, h', w']`, `h' = (h + 2 padding - dilation (kernel - 1) - 1) / stride + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dMap {
    /// Step between positions.
    pub stride: usize,
    /// Zero padding on every side.
    pub padding: usize,
    /// Number of groups of channels that do not mix.
    pub groups: usize,
    /// Step between the taps of a kernel.
    pub dilation: usize,
}

impl Default for Conv2dMap {
    fn default() -> Self {
        Conv2dConfig::default().into()
    }
}

impl From<Conv2dConfig> for Conv2dMap {
    fn from(config: Conv2dConfig) -> Self {
        Self {
            stride: config.stride,
            padding: config.padding,
            groups: config.groups,
            dilation: config.dilation,
        }
    }
}

/// A convolution with a posterior for each entry of its weight.
pub type VariationalConv2d = Variational<Conv2dMap>;

impl VariationalConv2d {
    /// Creates a layer from its parameters.
    ///
    /// # Shapes
    /// - `posterior`: `[out, in / groups, kh, kw]`, same type and device
    /// - `bias`: `[out]`
    ///
    /// # Errors
    /// If the shapes do not match; if stride, dilation or groups are 0; or if the groups do not
    /// divide the output channels.
    pub fn new(
        posterior: Posterior,
        bias: Option<Tensor>,
        map: Conv2dMap,
        options: LayerOptions,
    ) -> Result<Self> {
        let (out, ..) = posterior.theta.dims4()?;
        map.check(out)?;
        Self::from_map(map, posterior, bias, options)
    }
}

impl WeightedMap for Conv2dMap {
    /// Computes Candle's convolution. Its backward pass assumes that windows leave over as many rows
    /// as columns, and not more than the image has. If any are left over, the input is therefore
    /// padded and cut to the part that the windows cover.
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Self {
            stride,
            padding,
            groups,
            dilation,
        } = *self;
        let rows = self.cover(x.dim(2)?, weight.dim(2)?)?;
        let columns = self.cover(x.dim(3)?, weight.dim(3)?)?;
        if rows.left_over == 0 && columns.left_over == 0 {
            return x.conv2d(weight, padding, stride, dilation, groups);
        }
        let x = x
            .pad_with_zeros(2, padding, padding)?
            .pad_with_zeros(3, padding, padding)?;
        let x = x
            .narrow(2, 0, rows.covered)?
            .narrow(3, 0, columns.covered)?;
        x.conv2d(weight, 0, stride, dilation, groups)
    }
}

/// Lengths of the covered and uncovered part of one side of a padded input.
struct Cover {
    covered: usize,
    left_over: usize,
}

impl Conv2dMap {
    /// Checks the map for a weight with `out` output channels.
    pub(super) fn check(&self, out: usize) -> Result<()> {
        let Self {
            stride,
            groups,
            dilation,
            ..
        } = *self;
        for (name, value) in [
            ("stride", stride),
            ("groups", groups),
            ("dilation", dilation),
        ] {
            if value == 0 {
                candle_core::bail!("{name} of a convolution must be positive, got 0");
            }
        }
        if !out.is_multiple_of(groups) {
            candle_core::bail!("{groups} groups do not divide {out} output channels");
        }
        Ok(())
    }

    fn cover(&self, size: usize, kernel: usize) -> Result<Cover> {
        let padded = size + 2 * self.padding;
        let span = self.dilation * kernel.saturating_sub(1) + 1;
        let room = padded.checked_sub(span);
        let Some(left_over) = room.and_then(|room| room.checked_rem(self.stride)) else {
            let stride = self.stride;
            candle_core::bail!(
                "kernel {kernel} with stride {stride} does not fit a padded side of {padded}"
            );
        };
        Ok(Cover {
            covered: padded - left_over,
            left_over,
        })
    }
}
