//! Flattening with Candle operations.

use candle_core::{Result, Tensor};

/// `[batch, c, h, w] -> [batch, c * h * w]`.
pub(in crate::ops) fn candle(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(1)
}
