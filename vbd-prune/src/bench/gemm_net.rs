//! The dense net on the `gemm` crate: what a dense runtime without a framework around it takes.
#![expect(
    unsafe_code,
    reason = "the gemm crate takes pointers; bounds are checked here"
)]

use vbd_net::spec::{LayerSpec, Shape};

use crate::error::Result;
use vbd_net::PrunedNet;

/// The net with dense weights, and buffers that are used again.
pub(super) struct GemmNet {
    /// Factor and shift of each pixel.
    rule: Vec<(f32, f32)>,
    layers: Vec<Layer>,
    x: Vec<f32>,
    y: Vec<f32>,
    columns: Vec<f32>,
}

enum Layer {
    Linear {
        weight: Vec<f32>,
        bias: Vec<f32>,
    },
    Conv2d {
        weight: Vec<f32>,
        bias: Vec<f32>,
        window: Window,
    },
    MaxPool2d(Window),
    Relu,
    /// Some units of `area` values each.
    Select {
        index: Vec<u32>,
        units: usize,
        area: usize,
    },
}

/// How a window goes over an image.
#[derive(Clone, Copy)]
struct Window {
    /// Channels, height and width of the input.
    input: [usize; 3],
    /// Height and width of the output.
    output: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
}

/// Channels, height and width; a feature is a channel of one value.
fn sides(shape: Shape) -> [usize; 3] {
    match shape {
        Shape::Image {
            channels,
            height,
            width,
        } => [channels, height, width],
        Shape::Features(features) => [features, 1, 1],
    }
}

impl Window {
    fn new(input: Shape, output: Shape, [kernel, stride, padding]: [usize; 3]) -> Self {
        let [_, height, width] = sides(output);
        Self {
            input: sides(input),
            output: [height, width],
            kernel,
            stride,
            padding,
        }
    }

    fn positions(self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Rows of the matrix of columns: the entries of a row of the weight.
    fn taps(self) -> usize {
        self.input[0] * self.kernel * self.kernel
    }

    /// Where a tap lies at an output position, unless it lies in the padding.
    fn place(self, [channel, dy, dx]: [usize; 3], [y, x]: [usize; 2]) -> Option<usize> {
        let [_, height, width] = self.input;
        let y = (y * self.stride + dy)
            .checked_sub(self.padding)
            .filter(|&y| y < height)?;
        let x = (x * self.stride + dx)
            .checked_sub(self.padding)
            .filter(|&x| x < width)?;
        Some((channel * height + y) * width + x)
    }

    /// Each channel, tap and position.
    fn visit(self, mut f: impl FnMut(usize, Option<usize>)) {
        let mut index = 0;
        for channel in 0..self.input[0] {
            for tap in 0..self.kernel * self.kernel {
                for position in 0..self.positions() {
                    let tap = [channel, tap / self.kernel, tap % self.kernel];
                    let position = [position / self.output[1], position % self.output[1]];
                    f(index, self.place(tap, position));
                    index += 1;
                }
            }
        }
    }
}

impl GemmNet {
    pub(super) fn new(net: &PrunedNet) -> Result<Self> {
        let shapes = net.spec().shapes()?;
        let (mean, std) = (net.mean_values(), net.std_values());
        let rule = |pixel| (net.scale() / std.at(pixel), -mean.at(pixel) / std.at(pixel));
        let mut weights = net.layers().iter();
        let mut next = || {
            weights.next().map_or_else(Default::default, |layer| {
                (layer.weight.to_dense(), layer.bias.clone())
            })
        };
        let mut selections = net.selections().iter();
        let mut layers = Vec::new();
        for (layer, shapes) in net.spec().layers.iter().zip(shapes.windows(2)) {
            let window = |sizes| Window::new(shapes[0], shapes[1], sizes);
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
                    Layer::Conv2d {
                        weight,
                        bias,
                        window: window([kernel, stride, padding]),
                    }
                }
                LayerSpec::MaxPool2d { kernel } => Layer::MaxPool2d(window([kernel, kernel, 0])),
                LayerSpec::Relu {} => Layer::Relu,
                LayerSpec::Flatten {} => continue,
                LayerSpec::Select { .. } => {
                    let [units, height, width] = sides(shapes[0]);
                    let selection = selections.next();
                    Layer::Select {
                        index: selection.map_or_else(Vec::new, |selection| selection.index.clone()),
                        units,
                        area: height * width,
                    }
                }
            });
        }
        let rule = (0..net.spec().input_len()).map(rule).collect();
        Ok(Self {
            rule,
            layers,
            x: Vec::new(),
            y: Vec::new(),
            columns: Vec::new(),
        })
    }

    /// The logits of `n` samples.
    pub(super) fn run(&mut self, pixels: &[f32], n: usize) -> &[f32] {
        let Self {
            rule,
            layers,
            x,
            y,
            columns,
        } = self;
        x.clear();
        for sample in pixels.chunks_exact(rule.len()) {
            x.extend(
                sample
                    .iter()
                    .zip(&*rule)
                    .map(|(pixel, (factor, shift))| pixel * factor + shift),
            );
        }
        for layer in layers {
            y.clear();
            match layer {
                Layer::Relu => {
                    for x in x.iter_mut() {
                        *x = x.max(0.0);
                    }
                    continue;
                }
                Layer::Linear { weight, bias } => {
                    for _ in 0..n {
                        y.extend_from_slice(bias);
                    }
                    let inputs = weight.len() / bias.len();
                    let weight = Matrix {
                        data: weight,
                        strides: [1, inputs],
                    };
                    let x = Matrix {
                        data: x,
                        strides: [inputs, 1],
                    };
                    add_product(y, x, weight, [n, inputs, bias.len()]);
                }
                Layer::Conv2d {
                    weight,
                    bias,
                    window,
                } => {
                    let sizes = [bias.len(), window.taps(), window.positions()];
                    columns.resize(sizes[1] * sizes[2], 0.0);
                    for x in x.chunks_exact(window.input.iter().product()) {
                        window.visit(|index, place| {
                            columns[index] = place.map_or(0.0, |place| x[place]);
                        });
                        let start = y.len();
                        for &bias in &*bias {
                            y.resize(y.len() + sizes[2], bias);
                        }
                        let weight = Matrix {
                            data: weight,
                            strides: [sizes[1], 1],
                        };
                        let columns = Matrix {
                            data: columns,
                            strides: [sizes[2], 1],
                        };
                        add_product(&mut y[start..], weight, columns, sizes);
                    }
                }
                Layer::MaxPool2d(window) => max_pool(*window, x, y),
                Layer::Select { index, units, area } => {
                    for x in x.chunks_exact(*units * *area) {
                        for &unit in &*index {
                            y.extend_from_slice(&x[unit as usize * *area..][..*area]);
                        }
                    }
                }
            }
            std::mem::swap(x, y);
        }
        x
    }
}

fn max_pool(window: Window, x: &[f32], y: &mut Vec<f32>) {
    let Window {
        input: [channels, height, width],
        output,
        kernel,
        ..
    } = window;
    debug_assert!(x.len().is_multiple_of(channels * height * width));
    for image in x.chunks_exact(height * width) {
        for position in 0..window.positions() {
            let (top, left) = (position / output[1] * kernel, position % output[1] * kernel);
            let rows = (top..top + kernel).map(|y| &image[y * width + left..][..kernel]);
            y.push(rows.flatten().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}

/// A matrix inside a slice: entry `(i, j)` is `data[i * strides[0] + j * strides[1]]`.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    data: &'a [f32],
    strides: [usize; 2],
}

#[expect(clippy::many_single_char_names, reason = "the names of BLAS")]
/// `out += a b`, with `a [m, k]`, `b [k, n]` and `out [m, n]` row-major.
fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, [m, k, n]: [usize; 3]) {
    let holds = |matrix: Matrix<'_>, [rows, cols]: [usize; 2]| {
        let [row, col] = matrix.strides;
        rows * cols == 0 || (rows - 1) * row + (cols - 1) * col < matrix.data.len()
    };
    assert!(
        holds(a, [m, k]) && holds(b, [k, n]) && out.len() >= m * n,
        "matrices lie in their slices"
    );
    let threads = gemm::Parallelism::Rayon(0);
    let [a_strides, b_strides] = [a, b].map(|matrix| matrix.strides.map(usize::cast_signed));
    // SAFETY: every entry of `a`, `b` and `out` lies in its slice, as asserted above, and a `&mut`
    // overlaps nothing.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n.cast_signed(),
            true,
            a.data.as_ptr(),
            a_strides[1],
            a_strides[0],
            b.data.as_ptr(),
            b_strides[1],
            b_strides[0],
            1.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Module, Tensor};

    use super::*;
    use crate::prune_checkpoint;
    use crate::sparse_net::DenseNet;
    use crate::testing::{random_checkpoint, random_samples};

    /// Sums of a few hundred products in another order.
    const TOLERANCE: f32 = 1e-4;

    #[test]
    fn the_dense_nets_agree() {
        for seed in 0..20 {
            let net = prune_checkpoint(&random_checkpoint(seed), None).unwrap();
            let n = 5;
            let samples = random_samples(net.spec(), n, seed);
            let pixels: Vec<f32> = samples
                .images()
                .iter()
                .map(|&pixel| f32::from(pixel))
                .collect();
            let mut gemm = GemmNet::new(&net).unwrap();
            let x = Tensor::from_slice(&pixels, (n, net.spec().input_len()), &Device::Cpu).unwrap();
            let candle = DenseNet::new(&net, &Device::Cpu)
                .unwrap()
                .forward(&x)
                .unwrap();
            let candle: Vec<f32> = candle.flatten_all().unwrap().to_vec1().unwrap();
            let scale = candle.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
            for _ in 0..2 {
                for (a, b) in gemm.run(&pixels, n).iter().zip(&candle) {
                    assert!((a - b).abs() < TOLERANCE * scale, "{seed}: {a} {b}");
                }
            }
        }
    }
}
