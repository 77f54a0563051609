//! The products of a training step on one thread, batch 100, each against Candle's.
//!
//! `item/s` are floating-point operations a second that the mathematics needs: padding to whole
//! vectors, and zeros that a composition multiplies all the same, do not count. `a_floor` is the `gemm`
//! crate, by Candle's product, on a square product that suits it.
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

mod support;

use candle_core::{Device, Tensor, Var};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use support::{BATCH, samples, values};
use vbd_core::bench_internals::{Conv, LANES, Sparse, aligned, product, sparse};

fn main() {
    support::on_one_thread();
    divan::main();
}

fn lanes() -> usize {
    BATCH.next_multiple_of(LANES)
}

/// Linear layers of both nets that are computed by matrix products: outputs, inputs.
const LINEAR: [(usize, usize); 4] = [(100, 300), (10, 100), (500, 800), (10, 500)];

#[divan::bench]
fn a_floor_gemm_768(bencher: Bencher<'_, '_>) {
    let n = 768;
    let matrix = |seed| Tensor::from_vec(values(seed, n * n), (n, n), &Device::Cpu).unwrap();
    let (a, b) = (matrix(1), matrix(2));
    bencher
        .counter(ItemsCount::new(2 * n * n * n))
        .bench_local(|| a.matmul(&b).unwrap());
}

/// The same product by `product::Product`.
#[divan::bench]
fn square_768(bencher: Bencher<'_, '_>) {
    let n = 768;
    let (a, b, mut out) = (values(1, n * n), values(2, n * n), vec![0.0; n * n]);
    bencher
        .counter(ItemsCount::new(2 * n * n * n))
        .bench_local(|| product(&mut out, [n, n, n], &a, false, &b));
}

/// Mean and variance, both gradients of the weight, and both of the input: six products.
#[divan::bench(args = LINEAR)]
fn linear_product(bencher: Bencher<'_, '_>, (rows, inputs): (usize, usize)) {
    let lanes = lanes();
    let sizes = [rows * inputs, inputs * lanes, rows * lanes];
    let [w, x, g] = sizes.map(|len| aligned(&values(1, len)));
    let turned = aligned(&values(2, BATCH * inputs));
    let mut out = [aligned(&g), aligned(&w), aligned(&x)];
    bencher
        .counter(ItemsCount::new(12 * rows * inputs * BATCH))
        .bench_local(|| {
            for _mean_and_variance in 0..2 {
                let [y, g_w, g_x] = &mut out;
                product(y, [rows, lanes, inputs], &w, false, &x);
                product(g_w, [rows, inputs, BATCH], &g, false, &turned);
                product(g_x, [inputs, lanes, rows], &w, true, &g);
            }
        });
}

#[divan::bench(args = LINEAR)]
fn linear_candle(bencher: Bencher<'_, '_>, (rows, inputs): (usize, usize)) {
    let tensor = |shape: (usize, usize)| {
        Tensor::from_vec(values(1, shape.0 * shape.1), shape, &Device::Cpu).unwrap()
    };
    let (w, x, g) = (
        tensor((rows, inputs)),
        tensor((BATCH, inputs)),
        tensor((BATCH, rows)),
    );
    bencher
        .counter(ItemsCount::new(12 * rows * inputs * BATCH))
        .bench_local(|| {
            for _mean_and_variance in 0..2 {
                black_box(x.matmul(&w.t().unwrap()).unwrap());
                black_box(g.t().unwrap().matmul(&x).unwrap());
                black_box(g.matmul(&w).unwrap());
            }
        });
}

/// LeNet-5's convolutions: (channels, side), (rows, kernel).
const CONV: [[usize; 4]; 2] = [[1, 28, 20, 5], [20, 12, 50, 5]];

fn conv([channels, side, rows, kernel]: [usize; 4]) -> Conv {
    Conv::new(channels, side, rows, kernel, lanes())
}

fn conv_flops(conv: &Conv) -> ItemsCount {
    ItemsCount::new(2 * conv.flops() / lanes() * BATCH)
}

/// `product::Product`, for mean and variance.
#[divan::bench(args = CONV)]
fn conv_forward_product(bencher: Bencher<'_, '_>, shape: [usize; 4]) {
    let conv = conv(shape);
    let [x, w, mut y] = conv.sizes().map(|len| aligned(&values(1, len)));
    bencher.counter(conv_flops(&conv)).bench_local(|| {
        for _mean_and_variance in 0..2 {
            conv.forward(&w, &x, &mut y);
        }
    });
}

/// `dots::Dots`, for theta and for sigma2.
#[divan::bench(args = CONV)]
fn conv_weight_gradient_dots(bencher: Bencher<'_, '_>, shape: [usize; 4]) {
    let conv = conv(shape);
    let [x, mut w, g] = conv.sizes().map(|len| aligned(&values(1, len)));
    let mut sums = Vec::new();
    bencher.counter(conv_flops(&conv)).bench_local(|| {
        for _mean_and_variance in 0..2 {
            conv.weight_gradient(&x, &g, &mut w, &mut sums);
        }
    });
}

fn conv_candle([channels, side, rows, kernel]: [usize; 4]) -> (Var, Var) {
    let var = |shape: [usize; 4]| {
        let values = values(1, shape.iter().product());
        Var::from_tensor(&Tensor::from_vec(values, &shape, &Device::Cpu).unwrap()).unwrap()
    };
    (
        var([BATCH, channels, side, side]),
        var([rows, channels, kernel, kernel]),
    )
}

#[divan::bench(args = CONV)]
fn conv_forward_candle(bencher: Bencher<'_, '_>, shape: [usize; 4]) {
    let (x, w) = conv_candle(shape);
    bencher.counter(conv_flops(&conv(shape))).bench_local(|| {
        for _mean_and_variance in 0..2 {
            black_box(x.conv2d(&w, 0, 1, 1, 1).unwrap());
        }
    });
}

/// Forward, both gradients of the weight and both of the input.
#[divan::bench(args = CONV, sample_count = 10)]
fn conv_forward_backward_candle(bencher: Bencher<'_, '_>, shape: [usize; 4]) {
    let (x, w) = conv_candle(shape);
    let flops = 3 * 2 * conv(shape).flops() / lanes() * BATCH;
    bencher.counter(ItemsCount::new(flops)).bench_local(|| {
        for _mean_and_variance in 0..2 {
            let y = x.conv2d(&w, 0, 1, 1, 1).unwrap();
            black_box(y.sum_all().unwrap().backward().unwrap());
        }
    });
}

/// Mean and variance of 300 outputs of a first layer, over the pixels that are not zero. The items
/// are the operations of the dense product, so that `gemm` can be compared.
#[divan::bench]
fn first_layer_forward_pixels(bencher: Bencher<'_, '_>) {
    let (inputs, outputs) = (784, 304);
    let samples = samples([1, 28, 28], BATCH);
    let row = |index| {
        let pixels = (0..)
            .zip(samples.input(index).bytes().unwrap())
            .filter(|(_, pixel)| **pixel > 0);
        let (indices, first): (Vec<u32>, Vec<f32>) = pixels
            .map(|(place, &pixel)| (place, f32::from(pixel)))
            .unzip();
        Sparse {
            second: first.clone(),
            indices,
            first,
        }
    };
    let rows: Vec<Sparse> = (0..BATCH).map(row).collect();
    let weights = values(1, inputs * outputs);
    let (mut mean, mut variance) = (vec![0.0; BATCH * outputs], vec![0.0; BATCH * outputs]);
    bencher
        .counter(ItemsCount::new(4 * inputs * 300 * BATCH))
        .bench_local(|| sparse(&rows, [&weights, &weights], [&mut mean, &mut variance]));
}

#[divan::bench]
fn first_layer_forward_product(bencher: Bencher<'_, '_>) {
    let (inputs, outputs, lanes) = (784, 300, lanes());
    let (w, x) = (values(1, inputs * outputs), values(2, inputs * lanes));
    let mut y = vec![0.0; outputs * lanes];
    bencher
        .counter(ItemsCount::new(4 * inputs * outputs * BATCH))
        .bench_local(|| {
            for _mean_and_variance in 0..2 {
                product(&mut y, [outputs, lanes, inputs], &w, false, &x);
            }
        });
}
