//! Softplus with Candle operations.

use candle_core::{Result, Tensor};

use crate::posterior;

/// `max(x, 0) + ln(1 + e^-|x|)`, without overflow in the value or the gradient.
pub(in crate::ops) fn candle(x: &Tensor) -> Result<Tensor> {
    let is_positive = x.gt(0.0)?;
    let below = is_positive.where_cond(&x.neg()?, x)?;
    posterior::masked(&is_positive, x)? + (below.exp()? + 1.0)?.log()?
}
