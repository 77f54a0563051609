//! Training of layers without a weight, one folder each with kernels in `cpu.rs` and Candle
//! operations in `candle.rs`. Weights are trained by `step` and `weight`.

mod add;
mod flatten;
mod max_pool2d;
mod relu;

use candle_core::{Result as CandleResult, Tensor};
use vbd_net::graph::Shape;
use vbd_net::spec::LayerSpec;

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

/// Returns the kernels of a layer without a weight; `None` if it only changes the shape.
pub(crate) fn plain(layer: &LayerSpec, input: Shape) -> Option<Box<dyn Plain>> {
    match layer {
        LayerSpec::Add(_) => Some(Box::new(add::Cpu)),
        LayerSpec::Relu(_) => Some(Box::new(relu::Cpu)),
        LayerSpec::MaxPool2d(pool) => Some(Box::new(max_pool2d::Cpu::new(pool, input))),
        LayerSpec::Linear(_)
        | LayerSpec::Conv2d(_)
        | LayerSpec::Flatten(_)
        | LayerSpec::Scale(_)
        | LayerSpec::Select(_) => None,
    }
}

/// Computes the output of a layer without tensors with Candle operations; differentiable.
///
/// # Errors
/// If the layer has tensors, the inputs do not match, or the device fails.
pub fn forward(layer: &LayerSpec, inputs: &[Tensor]) -> CandleResult<Tensor> {
    match layer {
        LayerSpec::Add(_) => add::candle(inputs),
        LayerSpec::Relu(_) => relu::candle(&inputs[0]),
        LayerSpec::MaxPool2d(pool) => max_pool2d::candle(pool, &inputs[0]),
        LayerSpec::Flatten(_) => flatten::candle(&inputs[0]),
        LayerSpec::Linear(_)
        | LayerSpec::Conv2d(_)
        | LayerSpec::Scale(_)
        | LayerSpec::Select(_) => candle_core::bail!("{} has tensors", layer.kind().word()),
    }
}
