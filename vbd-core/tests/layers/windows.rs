//! Convolutions and pools with any window, by Candle operations, against sums in f64; and what Candle
//! itself cannot do yet.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use vbd_core::ops::{convolution, forward};
use vbd_net::graph::Window;
use vbd_net::ops::{AvgPool2d, MaxPool2d};
use vbd_net::spec::{LayerSpec, PoolWindow, Sides};

fn window(
    kernel: [usize; 2],
    stride: [usize; 2],
    pads: [[usize; 2]; 2],
    input: [usize; 2],
) -> Window {
    let [before, after] = pads;
    let side =
        |side: usize| (input[side] + before[side] + after[side] - kernel[side]) / stride[side] + 1;
    Window {
        kernel,
        stride,
        before,
        after,
        input,
        output: [side(0), side(1)],
    }
}

fn values(seed: u32, len: usize) -> Vec<f64> {
    let value = |at: usize| ((at as f64 + 1.0) * 12.9898 + f64::from(seed) * 78.233).sin();
    (0..len).map(|at| value(at) * 43_758.545_3 % 1.0).collect()
}

fn variable(values: &[f64], shape: &[usize]) -> Var {
    Var::from_tensor(&Tensor::from_slice(values, shape, &Device::Cpu).unwrap()).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Gradients of the sum of `y` times `g`.
fn gradients(y: &Tensor, g: &[f64]) -> GradStore {
    let of_outputs = Tensor::from_slice(g, y.dims(), &Device::Cpu).unwrap();
    let sum = (y * of_outputs).unwrap().sum_all().unwrap();
    sum.backward().unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-10,
            "{what}: {found} {expected}"
        );
    }
}

#[test]
fn a_convolution_and_its_gradients_are_sums_in_f64() {
    let none = [[0, 0], [0, 0]];
    // channels, outputs, groups, window: images of as many channels as rows and columns too
    for (channels, outputs, groups, window) in [
        (4, 4, 1, window([3, 3], [1, 1], [[1, 1], [1, 1]], [4, 4])),
        (3, 3, 1, window([1, 1], [1, 1], none, [3, 3])),
        (3, 3, 3, window([2, 2], [1, 1], none, [3, 3])),
        (5, 5, 5, window([3, 3], [2, 2], [[0, 0], [1, 1]], [5, 5])),
        (4, 6, 2, window([2, 3], [1, 2], [[1, 0], [0, 2]], [5, 7])),
        (2, 4, 2, window([3, 1], [2, 1], [[2, 1], [2, 1]], [4, 6])),
    ] {
        let (batch, per_group) = (2, channels / groups);
        let [area, positions] = [window.input, window.output].map(|[a, b]| a * b);
        let x = values(1, batch * channels * area);
        let w = values(2, outputs * per_group * window.area());
        let g = values(3, batch * outputs * positions);
        let [rows, columns] = window.input;
        let x_of = variable(&x, &[batch, channels, rows, columns]);
        let w_of = variable(
            &w,
            &[outputs, per_group, window.kernel[0], window.kernel[1]],
        );
        let y = convolution(&x_of, &w_of, window, groups).unwrap();
        let mut expected = [vec![0.0; g.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
        for (sample, output) in (0..batch).flat_map(|s| (0..outputs).map(move |o| (s, o))) {
            let first = output / (outputs / groups) * per_group;
            for (position, place) in
                (0..positions).flat_map(|p| (0..window.area()).map(move |k| (p, k)))
            {
                let Some(at) = window.input_at(position, place) else {
                    continue;
                };
                for channel in 0..per_group {
                    let x_at = (sample * channels + first + channel) * area + at;
                    let w_at = (output * per_group + channel) * window.area() + place;
                    let y_at = (sample * outputs + output) * positions + position;
                    expected[0][y_at] += x[x_at] * w[w_at];
                    expected[1][x_at] += g[y_at] * w[w_at];
                    expected[2][w_at] += g[y_at] * x[x_at];
                }
            }
        }
        let what = format!("{window:?} of {channels} channels in {groups} groups");
        assert_close(&flat(&y), &expected[0], &what);
        let gradients = gradients(&y, &g);
        assert_close(&flat(gradients.get(&x_of).unwrap()), &expected[1], &what);
        assert_close(&flat(gradients.get(&w_of).unwrap()), &expected[2], &what);
    }
}

#[test]
fn pools_with_steps_and_padding_have_the_gradients_of_their_definitions() {
    for window in [
        window([3, 3], [2, 2], [[1, 1], [1, 1]], [4, 4]),
        window([2, 3], [1, 2], [[1, 0], [1, 0]], [5, 6]),
        window([2, 2], [2, 2], [[0, 0], [0, 0]], [5, 4]),
    ] {
        let (kernel, stride, padding) = (
            Sides {
                rows: window.kernel[0],
                columns: window.kernel[1],
            },
            Sides {
                rows: window.stride[0],
                columns: window.stride[1],
            },
            Sides {
                rows: window.before[0],
                columns: window.before[1],
            },
        );
        let max = LayerSpec::MaxPool2d(MaxPool2d {
            name: None,
            input: None,
            kernel,
            stride: Some(stride),
            padding,
        });
        let average = LayerSpec::AvgPool2d(AvgPool2d {
            name: None,
            input: None,
            kernel: PoolWindow::Sides(kernel),
            stride: Some(stride),
            padding,
        });
        let [area, positions] = [window.input, window.output].map(|[a, b]| a * b);
        let (x, g) = (values(4, area), values(5, positions));
        for (layer, is_max) in [(max, true), (average, false)] {
            let x_of = variable(&x, &[1, 1, window.input[0], window.input[1]]);
            let y = forward(&layer, Some(&window), &[x_of.as_tensor().clone()]).unwrap();
            let (mut of_y, mut of_x) = (vec![0.0; positions], vec![0.0; area]);
            for position in 0..positions {
                let places: Vec<usize> = window.inputs_at(position).collect();
                if is_max {
                    let best = places
                        .iter()
                        .copied()
                        .reduce(|a, b| if x[b] > x[a] { b } else { a });
                    let best = best.unwrap();
                    of_y[position] = x[best];
                    of_x[best] += g[position];
                } else {
                    for place in places {
                        of_y[position] += x[place] / window.area() as f64;
                        of_x[place] += g[position] / window.area() as f64;
                    }
                }
            }
            assert_close(&flat(&y), &of_y, "values");
            let gradients = gradients(&y, &g);
            assert_close(&flat(gradients.get(&x_of).unwrap()), &of_x, "gradients");
        }
    }
}

/// Our compositions can go once this fails.
#[test]
fn candle_cannot_pool_backward_with_a_step_other_than_the_window() {
    let x = Var::zeros((1, 1, 4, 4), DType::F32, &Device::Cpu).unwrap();
    for y in [
        x.avg_pool2d_with_stride(2, 1).unwrap(),
        x.max_pool2d_with_stride(2, 1).unwrap(),
    ] {
        assert!(y.sum_all().unwrap().backward().is_err());
    }
}
