//! Max-pooling by Candle's operations.

use candle_core::{Result, Tensor};
use vbd_net::ops::MaxPool2d;

use crate::layers::max_pool2d;

/// The largest value of each window.
pub(in crate::ops) fn candle(pool: &MaxPool2d, x: &Tensor) -> Result<Tensor> {
    max_pool2d(x, pool.kernel)
}
