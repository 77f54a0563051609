//! The convolution of a network: any window, with groups.

use candle_core::{Result, Tensor};
use vbd_net::graph::Window;

use super::{Conv2dMap, WeightedMap};

/// Convolution with the window of a node, on images of the window's size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowMap {
    /// Window, worked out for the input.
    pub(crate) window: Window,
    /// Number of groups of channels that do not mix.
    pub(crate) groups: usize,
}

impl WeightedMap for WindowMap {
    /// Pads and cuts the image to what the windows cover, since Candle's convolution has one padding
    /// and one stride for all sides. Unequal strides are a stride of 1 of which some outputs are
    /// selected.
    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let Self { window, groups } = *self;
        let Window {
            kernel,
            stride,
            before,
            after,
            input,
            output,
        } = window;
        let mut x = x.clone();
        for side in 0..2 {
            let covered = (output[side] - 1) * stride[side] + kernel[side];
            let padded = before[side] + input[side] + after[side];
            if before[side] + after[side] > 0 {
                x = x.pad_with_zeros(2 + side, before[side], after[side])?;
            }
            if covered < padded {
                x = x.narrow(2 + side, 0, covered)?;
            }
        }
        let map = |stride| Conv2dMap {
            stride,
            padding: 0,
            groups,
            dilation: 1,
        };
        if stride[0] == stride[1] {
            return map(stride[0]).apply(&x, weight);
        }
        let mut y = map(1).apply(&x, weight)?;
        for side in 0..2 {
            y = lines(&window, side, 0, &y.contiguous()?)?;
        }
        Ok(y)
    }
}

/// Selects the rows (`side` 0) or columns (1) of a padded image that a line of the window has at all
/// positions: those `stride` apart from `offset` on. Differentiable.
pub(crate) fn lines(window: &Window, side: usize, offset: usize, x: &Tensor) -> Result<Tensor> {
    let positions = 0..window.output[side];
    let index = positions.map(|at| at * window.stride[side] + offset);
    let index: Vec<u32> = index
        .map(|at| u32::try_from(at).expect("an activation has at most 2^24 values"))
        .collect();
    x.index_select(&Tensor::new(index, x.device())?, 2 + side)
}
