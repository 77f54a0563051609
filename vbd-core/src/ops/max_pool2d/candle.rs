//! Max-pooling with Candle operations.

use candle_core::{Result, Tensor};
use vbd_net::ops::MaxPool2d;

use crate::layers::max_pool2d;

/// Maximum of each window.
pub(in crate::ops) fn candle(pool: &MaxPool2d, x: &Tensor) -> Result<Tensor> {
    max_pool2d(x, pool.kernel)
}
