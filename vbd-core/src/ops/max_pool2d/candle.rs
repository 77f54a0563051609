//! Max-pooling with Candle operations.

use candle_core::{Result, Tensor};
use vbd_net::graph::Window;

use crate::layers::max_pool2d;
use crate::ops::windows;

/// Maximum of each window. The whole gradient is passed to the first maximum.
pub(in crate::ops) fn candle(window: &Window, x: &Tensor) -> Result<Tensor> {
    let [side, other] = window.kernel;
    if side == other && window.stride == window.kernel && !window.is_padded() {
        return max_pool2d(x, side);
    }
    let places = windows::places(window, x, f64::NEG_INFINITY)?;
    let mut largest = places[0].clone();
    for place in &places[1..] {
        largest = place.gt(&largest)?.where_cond(place, &largest)?;
    }
    Ok(largest)
}
