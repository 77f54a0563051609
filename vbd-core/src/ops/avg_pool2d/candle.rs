//! Average pooling with Candle operations. Candle's own needs a step of the window's size to be
//! differentiable.

use candle_core::{Result, Tensor};
use vbd_net::graph::Window;

use crate::ops::windows;

/// Average of each window; padding counts as zeros.
pub(in crate::ops) fn candle(window: &Window, x: &Tensor) -> Result<Tensor> {
    if window.stride == window.kernel && !window.is_padded() {
        let (batch, channels, ..) = x.dims4()?;
        let ([rows, columns], kernel) = (window.output, window.kernel);
        return x
            .narrow(2, 0, rows * kernel[0])?
            .narrow(3, 0, columns * kernel[1])?
            .reshape(&[batch, channels, rows, kernel[0], columns, kernel[1]][..])?
            .mean((3, 5));
    }
    let places = windows::places(window, x, 0.0)?;
    let mut sum = places[0].clone();
    for place in &places[1..] {
        sum = (sum + place)?;
    }
    sum / window.area() as f64
}
