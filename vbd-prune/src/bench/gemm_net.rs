//! The dense net on the `gemm` crate: a dense runtime without a framework.
#![expect(
    unsafe_code,
    reason = "the gemm crate takes pointers; bounds are checked here"
)]

use vbd_net::graph::{WeightSpec, Window};
use vbd_net::ops::{NodeTensors, Plain};
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

/// A convolution as products of matrices, one per group of channels, or as sums of the kernel's
/// places where each group has one input channel.
#[derive(Clone, Copy)]
struct Convolution<'a> {
    window: Window,
    weight: &'a WeightSpec,
}

impl Convolution<'_> {
    /// Fills the column matrix of a group, `[taps, positions]`, from one sample.
    fn fill(self, columns: &mut Vec<f32>, x: &[f32], group: usize) {
        let (window, channels) = (&self.window, self.weight.shape[1]);
        let area = window.input[0] * window.input[1];
        columns.clear();
        for channel in group * channels..(group + 1) * channels {
            let x = &x[channel * area..][..area];
            for place in 0..window.area() {
                let positions = 0..window.positions();
                let inputs = positions.map(|position| window.input_at(position, place));
                columns.extend(inputs.map(|input| input.map_or(0.0, |input| x[input])));
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
                (LayerSpec::Conv2d(_), NodeTensors::Weight(pruned)) => {
                    let convolution = Convolution {
                        window: node.window.expect("a convolution has a window"),
                        weight: graph.weight(id).expect("a convolution has a weight"),
                    };
                    let x = &before[node.inputs[0].index()];
                    convolve(y, x, weight, &pruned.bias, convolution, columns);
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
    convolution: Convolution<'_>,
    columns: &mut Vec<f32>,
) {
    let Convolution {
        window,
        weight: own,
    } = convolution;
    let (rows, taps, positions) = (own.rows() / own.groups, own.cols(), window.positions());
    let input_len = own.inputs() * window.input[0] * window.input[1];
    for x in x.chunks_exact(input_len) {
        for group in 0..own.groups {
            if own.shape[1] == 1 {
                let area = window.input[0] * window.input[1];
                for row in group * rows..(group + 1) * rows {
                    let start = y.len();
                    y.resize(start + positions, bias[row]);
                    let weight = &weight[row * taps..][..taps];
                    add_places(&mut y[start..], &x[group * area..][..area], weight, &window);
                }
                continue;
            }
            convolution.fill(columns, x, group);
            let start = y.len();
            for &bias in &bias[group * rows..(group + 1) * rows] {
                y.resize(y.len() + positions, bias);
            }
            let weight = Matrix {
                data: &weight[group * rows * taps..],
                strides: [taps, 1],
            };
            let columns = Matrix {
                data: columns,
                strides: [positions, 1],
            };
            add_product(&mut y[start..], weight, columns, [rows, taps, positions]);
        }
    }
}

/// Adds the products of a kernel with one channel, place by place over rows of outputs.
fn add_places(y: &mut [f32], x: &[f32], weight: &[f32], window: &Window) {
    let [_, width] = window.input;
    // Outputs for which a place is inside the image.
    let inside = |side: usize, place: usize| {
        let (before, stride) = (window.before[side], window.stride[side]);
        let first = before.saturating_sub(place).div_ceil(stride);
        let end = (window.input[side] + before).saturating_sub(place);
        first..end.div_ceil(stride).min(window.output[side])
    };
    for (place, &value) in weight.iter().enumerate() {
        let (dy, dx) = (place / window.kernel[1], place % window.kernel[1]);
        let columns = inside(1, dx);
        if columns.is_empty() {
            continue;
        }
        for row in inside(0, dy) {
            let line = row * window.stride[0] + dy - window.before[0];
            let first = columns.start * window.stride[1] + dx - window.before[1];
            let x = &x[line * width + first..(line + 1) * width];
            let y = &mut y[row * window.output[1]..][columns.clone()];
            for (y, x) in y.iter_mut().zip(x.iter().step_by(window.stride[1])) {
                *y += value * x;
            }
        }
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
    use crate::testing::{net_of_all_kinds, random_checkpoint, random_samples};

    /// Tolerance for sums of a few hundred products in another order.
    const TOLERANCE: f32 = 1e-4;

    #[test]
    fn the_dense_nets_agree() {
        let pruned = |seed| prune_checkpoint(&random_checkpoint(seed), None).unwrap();
        let nets = (0..20).map(|seed| (seed, pruned(seed)));
        let of_all_kinds = (200..260).map(|seed| (seed, net_of_all_kinds(seed)));
        for (seed, net) in nets.chain(of_all_kinds) {
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
