//! Windows of images as Candle tensors: what pools with any step and padding are made of.

use candle_core::{Result, Tensor};
use vbd_net::graph::Window;

use crate::layers::lines;

/// Returns the value at each place of the window, row by row, for all positions: `area` tensors
/// `[batch, channels, rows, columns]`. Values in the padding are `padding`. Differentiable.
pub(super) fn places(window: &Window, x: &Tensor, padding: f64) -> Result<Vec<Tensor>> {
    let padded = pad(window, x, padding)?;
    let mut places = Vec::with_capacity(window.area());
    for row in 0..window.kernel[0] {
        let rows = lines(window, 0, row, &padded)?;
        for column in 0..window.kernel[1] {
            places.push(lines(window, 1, column, &rows)?);
        }
    }
    Ok(places)
}

/// Pads an image on all sides.
fn pad(window: &Window, x: &Tensor, padding: f64) -> Result<Tensor> {
    if !window.is_padded() {
        return x.contiguous();
    }
    let zeros = |x: &Tensor| {
        x.pad_with_zeros(2, window.before[0], window.after[0])?
            .pad_with_zeros(3, window.before[1], window.after[1])
    };
    let padded = zeros(x)?;
    if padding == 0.0 {
        return padded.contiguous();
    }
    let inside = zeros(&x.ones_like()?)?.ne(0.0)?;
    let outside = (padded.ones_like()? * padding)?;
    inside.where_cond(&padded, &outside)
}
