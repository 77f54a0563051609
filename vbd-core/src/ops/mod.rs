//! Training of layers without a weight, one folder each with kernels in `cpu.rs` and Candle
//! operations in `candle.rs`. Weights are trained by `step` and `weight`.

mod add;
mod avg_pool2d;
pub(crate) mod batch_norm;
mod flatten;
mod max_pool2d;
mod relu;
mod softplus;
mod windows;

use candle_core::{Result as CandleResult, Tensor};
use vbd_net::graph::Window;
use vbd_net::spec::LayerSpec;

use crate::layers::{WeightedMap, WindowMap};

/// A layer without a weight, with kernels. Values are `[features, lanes]`.
pub(crate) trait Plain: Send {
    /// Computes the outputs of a batch.
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], lanes: usize);

    /// Computes the gradient of input number `input` into `g_x`.
    fn backward(&self, input: usize, of: Backward<'_>, g_x: &mut [f32], lanes: usize);
}

/// Values for computing a gradient.
#[derive(Clone, Copy)]
pub(crate) struct Backward<'a> {
    /// Input of the gradient.
    pub(crate) x: &'a [f32],
    /// Outputs.
    pub(crate) y: &'a [f32],
    /// Gradient of the outputs.
    pub(crate) g: &'a [f32],
}

/// Returns whether the ReLU after a layer without tensors is computed with it.
pub(crate) fn takes_relu(layer: &LayerSpec) -> bool {
    matches!(layer, LayerSpec::Add(_))
}

/// Returns the kernels of a layer without tensors; `None` if it has tensors or only changes the
/// shape. `window` is that of its node; `relu`: whether a ReLU follows that is computed with it.
pub(crate) fn plain(
    layer: &LayerSpec,
    window: Option<Window>,
    relu: bool,
) -> Option<Box<dyn Plain>> {
    debug_assert!(!relu || takes_relu(layer));
    match layer {
        LayerSpec::Add(_) => Some(Box::new(add::Cpu { relu })),
        LayerSpec::Relu(_) => Some(Box::new(relu::Cpu)),
        LayerSpec::Softplus(_) => Some(Box::new(softplus::Cpu)),
        LayerSpec::MaxPool2d(_) => Some(Box::new(max_pool2d::Cpu { window: window? })),
        LayerSpec::AvgPool2d(_) => Some(Box::new(avg_pool2d::Cpu { window: window? })),
        LayerSpec::Linear(_)
        | LayerSpec::Conv2d(_)
        | LayerSpec::BatchNorm(_)
        | LayerSpec::Flatten(_)
        | LayerSpec::Scale(_)
        | LayerSpec::Select(_) => None,
    }
}

/// Computes a convolution with the window of its node and `groups` groups of channels, without a
/// bias; differentiable.
///
/// # Shapes
/// - `x`: `[batch, in, h, w]`; `weight`: `[out, in / groups, rows, columns]`
///
/// # Errors
/// If the shapes do not match, or the device fails.
pub fn convolution(
    x: &Tensor,
    weight: &Tensor,
    window: Window,
    groups: usize,
) -> CandleResult<Tensor> {
    WindowMap { window, groups }.apply(x, weight)
}

/// Computes the output of a layer without tensors with Candle operations; differentiable. `window`
/// is that of its node.
///
/// # Errors
/// If the layer has tensors, the inputs do not match, or the device fails.
pub fn forward(
    layer: &LayerSpec,
    window: Option<&Window>,
    inputs: &[Tensor],
) -> CandleResult<Tensor> {
    match (layer, window) {
        (LayerSpec::Add(_), _) => add::candle(inputs),
        (LayerSpec::Relu(_), _) => relu::candle(&inputs[0]),
        (LayerSpec::Softplus(_), _) => softplus::candle(&inputs[0]),
        (LayerSpec::MaxPool2d(_), Some(window)) => max_pool2d::candle(window, &inputs[0]),
        (LayerSpec::AvgPool2d(_), Some(window)) => avg_pool2d::candle(window, &inputs[0]),
        (LayerSpec::Flatten(_), _) => flatten::candle(&inputs[0]),
        (LayerSpec::MaxPool2d(_) | LayerSpec::AvgPool2d(_), None) => {
            candle_core::bail!("{} without a window", layer.kind().word())
        }
        (
            LayerSpec::Linear(_)
            | LayerSpec::Conv2d(_)
            | LayerSpec::BatchNorm(_)
            | LayerSpec::Scale(_)
            | LayerSpec::Select(_),
            _,
        ) => candle_core::bail!("{} has tensors", layer.kind().word()),
    }
}
