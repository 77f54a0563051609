//! A block of samples through the net: feature-major, one sample a lane, so that each kept weight is
//! read once for all lanes and the inner loops are SIMD.

use super::layers::{Layer, Stack, Window};
use crate::matrix::SparseMatrix;

/// Buffers for one block, used again for the next.
pub(super) enum Runner<'a> {
    One(Block<'a, 1>),
    Eight(Block<'a, 8>),
    Many(Block<'a, 32>),
}

impl<'a> Runner<'a> {
    pub(super) fn new(stack: &'a Stack, lanes: usize) -> Self {
        match lanes {
            1 => Self::One(Block::new(stack)),
            8 => Self::Eight(Block::new(stack)),
            _ => Self::Many(Block::new(stack)),
        }
    }

    /// Runs at most `lanes` samples: `pixels [n, input_len]` to `logits [n, classes]`.
    pub(super) fn run<T: Copy>(
        &mut self,
        pixels: &[T],
        to_f32: impl Fn(T) -> f32,
        logits: &mut [f32],
    ) {
        match self {
            Self::One(block) => block.run(pixels, to_f32, logits),
            Self::Eight(block) => block.run(pixels, to_f32, logits),
            Self::Many(block) => block.run(pixels, to_f32, logits),
        }
    }
}

/// `LANES` samples: one value of each, side by side.
type Lanes<const LANES: usize> = [f32; LANES];

/// What goes into a layer and what comes out of it.
pub(super) struct Block<'a, const LANES: usize> {
    stack: &'a Stack,
    input: Vec<Lanes<LANES>>,
    output: Vec<Lanes<LANES>>,
}

impl<'a, const LANES: usize> Block<'a, LANES> {
    fn new(stack: &'a Stack) -> Self {
        let buffer = || Vec::with_capacity(stack.widest);
        Self {
            stack,
            input: buffer(),
            output: buffer(),
        }
    }

    fn run<T: Copy>(&mut self, pixels: &[T], to_f32: impl Fn(T) -> f32, logits: &mut [f32]) {
        self.normalise(pixels, to_f32);
        for layer in &self.stack.layers {
            self.output.clear();
            match layer {
                Layer::Linear { weight, bias } => {
                    linear(weight, bias, &self.input, &mut self.output);
                }
                Layer::Conv2d {
                    weight,
                    bias,
                    window,
                } => {
                    conv2d(weight, bias, *window, &self.input, &mut self.output);
                }
                Layer::MaxPool2d { channels, window } => {
                    max_pool2d(*channels, *window, &self.input, &mut self.output);
                }
                Layer::Relu => {
                    self.input
                        .iter_mut()
                        .flatten()
                        .for_each(|x| *x = x.max(0.0));
                    continue;
                }
            }
            std::mem::swap(&mut self.input, &mut self.output);
        }
        for (lane, logits) in logits.chunks_exact_mut(self.stack.classes).enumerate() {
            for (logit, values) in logits.iter_mut().zip(&self.input) {
                *logit = values[lane];
            }
        }
    }

    /// `(pixel scale - mean) / std`; lanes without a sample are 0.
    fn normalise<T: Copy>(&mut self, pixels: &[T], to_f32: impl Fn(T) -> f32) {
        let Stack {
            scale,
            mean,
            std,
            input_len,
            ..
        } = self.stack;
        self.input.clear();
        self.input.resize(*input_len, [0.0; LANES]);
        for (lane, pixels) in pixels.chunks_exact(*input_len).enumerate() {
            for (index, (values, &pixel)) in self.input.iter_mut().zip(pixels).enumerate() {
                values[lane] = (to_f32(pixel) * scale - mean.at(index)) / std.at(index);
            }
        }
    }
}

#[inline]
fn add<const LANES: usize>(sum: &mut Lanes<LANES>, value: f32, x: &Lanes<LANES>) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += value * x;
    }
}

fn linear<const LANES: usize>(
    weight: &SparseMatrix,
    bias: &[f32],
    input: &[Lanes<LANES>],
    output: &mut Vec<Lanes<LANES>>,
) {
    for (row, &bias) in bias.iter().enumerate() {
        let mut sum = [bias; LANES];
        let (columns, values) = weight.row(row);
        for (&col, &value) in columns.iter().zip(values) {
            add(&mut sum, value, &input[col as usize]);
        }
        output.push(sum);
    }
}

/// Each kept tap goes over all positions of its channel that it reaches inside the image.
fn conv2d<const LANES: usize>(
    weight: &SparseMatrix,
    bias: &[f32],
    window: Window,
    input: &[Lanes<LANES>],
    output: &mut Vec<Lanes<LANES>>,
) {
    let Window {
        input: [height, width],
        output: [out_height, out_width],
        kernel,
        ..
    } = window;
    for (row, &bias) in bias.iter().enumerate() {
        let start = output.len();
        output.resize(start + out_height * out_width, [bias; LANES]);
        let channel_out = &mut output[start..];
        let (columns, values) = weight.row(row);
        for (&col, &value) in columns.iter().zip(values) {
            let (channel, tap) = (
                col as usize / (kernel * kernel),
                col as usize % (kernel * kernel),
            );
            let channel_in = &input[channel * height * width..][..height * width];
            for (out_y, y) in reached(window, tap / kernel, 0) {
                for (out_x, x) in reached(window, tap % kernel, 1) {
                    add(
                        &mut channel_out[out_y * out_width + out_x],
                        value,
                        &channel_in[y * width + x],
                    );
                }
            }
        }
    }
}

/// Along one axis: the output positions at which a tap lies inside the input, and where it lies.
fn reached(window: Window, tap: usize, axis: usize) -> impl Iterator<Item = (usize, usize)> {
    let (size, padding) = (window.input[axis], window.padding);
    (0..window.output[axis]).filter_map(move |out| {
        let place = (out * window.stride + tap).checked_sub(padding)?;
        (place < size).then_some((out, place))
    })
}

fn max_pool2d<const LANES: usize>(
    channels: usize,
    window: Window,
    input: &[Lanes<LANES>],
    output: &mut Vec<Lanes<LANES>>,
) {
    let Window {
        input: [height, width],
        output: [out_height, out_width],
        kernel,
        ..
    } = window;
    for channel in 0..channels {
        let image = &input[channel * height * width..][..height * width];
        for (out_y, out_x) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
            let mut largest = [f32::NEG_INFINITY; LANES];
            for y in out_y * kernel..(out_y + 1) * kernel {
                for values in &image[y * width + out_x * kernel..][..kernel] {
                    for (largest, &x) in largest.iter_mut().zip(values) {
                        *largest = largest.max(x);
                    }
                }
            }
            output.push(largest);
        }
    }
}
