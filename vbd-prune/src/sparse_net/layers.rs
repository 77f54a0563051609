//! The layers of a net with the sizes that their kernels need.

use vbd_core::spec::{LayerSpec, Shape};

use crate::error::Result;
use crate::matrix::SparseMatrix;
use crate::net::PrunedNet;
use crate::statistic::PerInput;

/// What one sample is as it goes through the net, and what is done to it.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) scale: f32,
    pub(super) mean: PerInput,
    pub(super) std: PerInput,
    pub(super) input_len: usize,
    pub(super) classes: usize,
    /// Values of the largest activation of one sample.
    pub(super) widest: usize,
    pub(super) layers: Vec<Layer>,
}

/// One layer that computes something; flattening does not.
#[derive(Debug)]
pub(super) enum Layer {
    Linear {
        weight: SparseMatrix,
        bias: Vec<f32>,
    },
    Conv2d {
        weight: SparseMatrix,
        bias: Vec<f32>,
        window: Window,
    },
    Relu,
    MaxPool2d {
        channels: usize,
        window: Window,
    },
}

/// How a window goes over an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Height and width of the input.
    pub(super) input: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Window {
    fn new(input: Shape, output: Shape, [kernel, stride, padding]: [usize; 3]) -> Self {
        let side = |shape: Shape| match shape {
            Shape::Image { height, width, .. } => [height, width],
            Shape::Features(features) => [1, features],
        };
        Self {
            input: side(input),
            output: side(output),
            kernel,
            stride,
            padding,
        }
    }
}

impl Stack {
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub(super) fn new(net: &PrunedNet) -> Result<Self> {
        let spec = &net.spec;
        let shapes = spec.shapes()?;
        let mut weights = net.layers.iter();
        let mut next = || {
            let layer = weights
                .next()
                .expect("a net has the weights of its network");
            (layer.weight.clone(), layer.bias.clone())
        };
        let mut layers = Vec::new();
        for (layer, pair) in spec.layers.iter().zip(shapes.windows(2)) {
            let (input, output) = (pair[0], pair[1]);
            layers.push(match *layer {
                LayerSpec::Linear { .. } => {
                    let (weight, bias) = next();
                    Layer::Linear { weight, bias }
                }
                LayerSpec::Conv2d {
                    kernel,
                    stride,
                    padding,
                    ..
                } => {
                    let (weight, bias) = next();
                    let window = Window::new(input, output, [kernel, stride, padding]);
                    Layer::Conv2d {
                        weight,
                        bias,
                        window,
                    }
                }
                LayerSpec::Relu => Layer::Relu,
                LayerSpec::MaxPool2d { kernel } => Layer::MaxPool2d {
                    channels: input.dims()[0],
                    window: Window::new(input, output, [kernel, kernel, 0]),
                },
                LayerSpec::Flatten => continue,
            });
        }
        Ok(Self {
            scale: spec.normalize.scale as f32,
            mean: net.mean_values(),
            std: net.std_values(),
            input_len: spec.input_len(),
            classes: spec.classes,
            widest: shapes.iter().map(|shape| shape.len()).max().unwrap_or(0),
            layers,
        })
    }

    /// Samples that go side by side in a batch of `n`; few where a sample is large.
    pub(super) fn lanes(&self, n: usize) -> usize {
        match n {
            _ if self.widest > 1 << 18 => 1,
            0..=1 => 1,
            2..=8 => 8,
            _ => 32,
        }
    }
}
