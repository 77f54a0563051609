//! Variational layers as Candle modules, for any device and anyone's own model.
//!
//! `Module::forward` is the test-time mean with pruned weights at zero; `sample` is a training draw,
//! by local reparameterisation. Layers do not know which prior they serve.

mod linear;

pub(crate) use linear::draw_theta;
pub use linear::{LinearConfig, VariationalLinear, variational_linear};

use candle_core::{Device, Tensor};

use crate::noise::NoiseKey;

/// Which weights take part in a training draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masking {
    /// All live weights: while `kl_scale` is 0.
    Off,
    /// Those under the threshold.
    On,
}

/// The noise of one layer for a batch, drawn on the host: the same on every device.
///
/// # Shapes
/// - returns `[batch, units]`, f32
pub(crate) fn noise(
    key: NoiseKey,
    (batch, units): (usize, usize),
    device: &Device,
) -> candle_core::Result<Tensor> {
    let mut draws = vec![0.0_f32; batch * units];
    for (unit, row) in (0..).zip(draws.chunks_exact_mut(batch)) {
        key.fill_normal(unit, row);
    }
    Tensor::from_vec(draws, (units, batch), device)?.t()?.contiguous()
}
