//! How the kinds of layer train: those without a weight have a folder here, with the kernels' half in `cpu.rs` and
//! Candle's in `candle.rs`. Weights are `step`'s and `weight`'s, whatever the kind.

mod add;
mod flatten;
mod max_pool2d;
mod relu;

use candle_core::{Result as CandleResult, Tensor};
use vbd_net::graph::Shape;
use vbd_net::spec::LayerSpec;

/// A layer without a weight, by kernels. Values are `[features, lanes]`.
pub(crate) trait Plain: Send {
    /// Outputs of a batch.
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], lanes: usize);

    /// The gradient of the input of one number, written to `g_x`.
    fn backward(&self, input: usize, of: Backward<'_>, g_x: &mut [f32], lanes: usize);
}

/// What a gradient is worked out from.
#[derive(Clone, Copy)]
pub(crate) struct Backward<'a> {
    /// The input whose gradient is wanted.
    pub(crate) x: &'a [f32],
    /// The outputs.
    pub(crate) y: &'a [f32],
    /// Their gradient.
    pub(crate) g: &'a [f32],
}

/// A layer without a weight by kernels; `None` of one that changes nothing but the shape.
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

/// The output of a layer that has no tensors, by Candle's operations and with its gradients.
///
/// # Errors
/// If the layer has tensors, the inputs are not what it reads, or the device fails.
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
