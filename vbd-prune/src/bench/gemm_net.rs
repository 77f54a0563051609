//! The dense net on the `gemm` crate: a dense runtime without a framework.
#![expect(
    unsafe_code,
    reason = "the gemm crate takes pointers; bounds are checked here"
)]

use vbd_net::graph::Shape;
use vbd_net::ops::{Conv2d, NodeTensors, Plain};
use vbd_net::spec::LayerSpec;

use vbd_net::PrunedNet;

/// The net with dense weights. Layers without a weight are computed in the simplest way, a ReLU on
/// the whole batch.
pub(super) struct GemmNet {
    net: PrunedNet,
    /// Factor and shift of each pixel.
    rule: Vec<(f32, f32)>,
    /// Dense weight of each node; empty for nodes without one.
    weights: Vec<Vec<f32>>,
    /// Output of each node for all samples.
    values: Vec<Vec<f32>>,
    columns: Vec<f32>,
}

/// Geometry of a convolution.
#[derive(Clone, Copy)]
struct Window<'a> {
    conv: &'a Conv2d,
    /// Channels, height and width of the input.
    input: [usize; 3],
    /// Height and width of the output.
    output: [usize; 2],
}

/// Returns channels, height and width; a feature is a channel of one value.
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

impl Window<'_> {
    fn positions(self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Returns the rows of the column matrix: the entries per row of the weight.
    fn taps(self) -> usize {
        self.input[0] * self.conv.kernel * self.conv.kernel
    }

    /// Returns the input position of a tap at an output position, or `None` in the padding.
    fn place(self, [channel, dy, dx]: [usize; 3], [y, x]: [usize; 2]) -> Option<usize> {
        let [_, height, width] = self.input;
        let (stride, padding) = (self.conv.stride, self.conv.padding);
        let y = (y * stride + dy).checked_sub(padding)?;
        let x = (x * stride + dx).checked_sub(padding)?;
        (y < height && x < width).then_some((channel * height + y) * width + x)
    }

    /// Visits each channel, tap and position.
    fn visit(self, mut f: impl FnMut(usize, Option<usize>)) {
        let (kernel, mut index) = (self.conv.kernel, 0);
        for channel in 0..self.input[0] {
            for tap in 0..kernel * kernel {
                for position in 0..self.positions() {
                    let tap = [channel, tap / kernel, tap % kernel];
                    let position = [position / self.output[1], position % self.output[1]];
                    f(index, self.place(tap, position));
                    index += 1;
                }
            }
        }
    }
}

impl GemmNet {
    pub(super) fn new(net: &PrunedNet) -> Self {
        let (mean, std) = (net.mean_values(), net.std_values());
        let rule = |pixel| (net.scale() / std.at(pixel), -mean.at(pixel) / std.at(pixel));
        let weights = net.graph().nodes().map(|(id, _)| match net.tensors(id) {
            NodeTensors::Weight(layer) => layer.weight.to_dense(),
            _ => Vec::new(),
        });
        Self {
            rule: (0..net.spec().input_len()).map(rule).collect(),
            weights: weights.collect(),
            values: vec![Vec::new(); net.graph().nodes().len()],
            columns: Vec::new(),
            net: net.clone(),
        }
    }

    /// Computes the outputs of `n` samples.
    pub(super) fn run(&mut self, pixels: &[f32], n: usize) -> &[f32] {
        let Self {
            net,
            rule,
            weights,
            values,
            columns,
        } = self;
        let graph = net.graph();
        for (id, node) in graph.nodes() {
            let (before, after) = values.split_at_mut(id.index());
            let y = &mut after[0];
            y.clear();
            let Some(layer) = graph.layer(id, net.spec()) else {
                for sample in pixels.chunks_exact(rule.len()) {
                    let rules = sample.iter().zip(&*rule);
                    y.extend(rules.map(|(pixel, (factor, shift))| pixel * factor + shift));
                }
                continue;
            };
            let weight = &weights[id.index()][..];
            match (layer, net.tensors(id)) {
                (LayerSpec::Linear(_), NodeTensors::Weight(pruned)) => {
                    linear(y, &before[node.inputs[0].index()], weight, &pruned.bias, n);
                }
                (LayerSpec::Conv2d(conv), NodeTensors::Weight(pruned)) => {
                    let [_, height, width] = sides(node.shape);
                    let window = Window {
                        conv,
                        input: sides(graph.node(node.inputs[0]).shape),
                        output: [height, width],
                    };
                    let x = &before[node.inputs[0].index()];
                    convolve(y, x, weight, &pruned.bias, window, columns);
                }
                (LayerSpec::Relu(_), _) => {
                    let x = before[node.inputs[0].index()].iter();
                    y.extend(x.map(|x| x.max(0.0)));
                }
                (layer, tensors) => {
                    for sample in 0..n {
                        let inputs = node.inputs.iter().map(|&input| {
                            let shape = graph.node(input).shape;
                            let values = &before[input.index()][sample * shape.len()..];
                            Plain {
                                values: &values[..shape.len()],
                                shape,
                            }
                        });
                        let inputs: Vec<Plain<'_>> = inputs.collect();
                        y.extend(layer.kind().plain(&inputs, tensors, node.shape));
                    }
                }
            }
        }
        values.last().map_or(&[], |last| last)
    }
}

fn linear(y: &mut Vec<f32>, x: &[f32], weight: &[f32], bias: &[f32], n: usize) {
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

fn convolve(
    y: &mut Vec<f32>,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    window: Window<'_>,
    columns: &mut Vec<f32>,
) {
    let sizes = [bias.len(), window.taps(), window.positions()];
    columns.resize(sizes[1] * sizes[2], 0.0);
    for x in x.chunks_exact(window.input.iter().product()) {
        window.visit(|index, place| {
            columns[index] = place.map_or(0.0, |place| x[place]);
        });
        let start = y.len();
        for &bias in bias {
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

/// A matrix in a slice: entry `(i, j)` is `data[i * strides[0] + j * strides[1]]`.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    data: &'a [f32],
    strides: [usize; 2],
}

#[expect(clippy::many_single_char_names, reason = "the names of BLAS")]
/// Computes `out += a b` with `a [m, k]`, `b [k, n]` and `out [m, n]` row-major.
fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, [m, k, n]: [usize; 3]) {
    let holds = |matrix: Matrix<'_>, [rows, cols]: [usize; 2]| {
        let [row, col] = matrix.strides;
        rows * cols == 0 || (rows - 1) * row + (cols - 1) * col < matrix.data.len()
    };
    assert!(
        holds(a, [m, k]) && holds(b, [k, n]) && out.len() >= m * n,
        "matrices fit in their slices"
    );
    let threads = gemm::Parallelism::Rayon(0);
    let [a_strides, b_strides] = [a, b].map(|matrix| matrix.strides.map(usize::cast_signed));
    // SAFETY: every entry of `a`, `b` and `out` is inside its slice, as asserted above, and `out`
    // does not overlap the others.
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

    /// Tolerance for sums of a few hundred products in another order.
    const TOLERANCE: f32 = 1e-4;

    #[test]
    fn the_dense_nets_agree() {
        for seed in 0..20 {
            let net = prune_checkpoint(&random_checkpoint(seed), None).unwrap();
            let n = 5;
            let samples = random_samples(net.spec(), n, seed);
            let pixels: Vec<f32> = samples
                .inputs()
                .bytes()
                .unwrap()
                .iter()
                .map(|&pixel| f32::from(pixel))
                .collect();
            let mut gemm = GemmNet::new(&net);
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
