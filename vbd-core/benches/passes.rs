//! The passes over weights and activations of a training step on one thread, each against its plain
//! composition.
//!
//! `item/s` are weights, draws or activations a second, `B/s` the bytes that must be read and written.
//! `a_floor` reads and writes as many bytes as the update without computing anything.
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

mod support;

use candle_core::{D, Device, Tensor, Var};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use support::values;
use vbd_core::bench_internals::{Weights, max_pool, sample};
use vbd_core::layers::max_pool2d;
use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::prior::Prior;

fn main() {
    support::on_one_thread();
    divan::main();
}

/// Weights that fit a core's first cache, its second, and LeNet-300-100's first layer.
const WEIGHTS: [usize; 3] = [512, 16_384, 235_200];
const KL_FACTOR: f32 = 1e-5;

fn key(step: u32) -> NoiseKey {
    NoiseKey {
        seed: 1,
        step,
        stream: Stream::Layer(0),
    }
}

fn weights(len: usize) -> Weights {
    let small = |seed| {
        values(seed, len)
            .into_iter()
            .map(|x| 0.01 * x)
            .collect::<Vec<f32>>()
    };
    let squares = |seed| {
        values(seed, len)
            .into_iter()
            .map(|x| 1e-6 * x * x + 1e-9)
            .collect()
    };
    Weights {
        theta: [small(1), small(2), squares(3)],
        log_sigma2: [vec![-10.0; len], small(4), squares(5)],
        masked: [small(6), vec![4.5e-5; len]],
        gradients: [small(7), small(8)],
    }
}

fn bytes(len: usize) -> BytesCount {
    BytesCount::new(4 * len * (Weights::READ + Weights::WRITTEN))
}

#[divan::bench(args = WEIGHTS)]
fn update_a_floor(bencher: Bencher<'_, '_>, len: usize) {
    let mut arrays: Vec<Vec<f32>> = vec![vec![1.0; len]; Weights::READ];
    bencher
        .counter(bytes(len))
        .counter(ItemsCount::new(len))
        .bench_local(|| {
            let (gradients, rest) = arrays.split_at_mut(Weights::READ - Weights::WRITTEN);
            for (index, array) in rest.iter_mut().enumerate() {
                let gradient = &gradients[index % gradients.len()];
                array.iter_mut().zip(gradient).for_each(|(x, g)| *x += g);
            }
        });
}

/// KL, Adam and the next step's means and variances, in one pass.
#[divan::bench(args = WEIGHTS)]
fn update_kernel(bencher: Bencher<'_, '_>, len: usize) {
    let mut weights = weights(len);
    let mut step = 1000;
    bencher
        .counter(bytes(len))
        .counter(ItemsCount::new(len))
        .bench_local(|| {
            step += 1;
            weights.update(Prior::Hierarchical, KL_FACTOR, step);
        });
}

/// The same by Candle: the KL and its gradient by autograd, Adam by tensors.
#[divan::bench(args = WEIGHTS, sample_count = 20)]
fn update_candle(bencher: Bencher<'_, '_>, len: usize) {
    let Weights {
        theta,
        log_sigma2,
        gradients,
        ..
    } = weights(len);
    let tensor = |values: &Vec<f32>| Tensor::from_slice(values, len, &Device::Cpu).unwrap();
    let parameters = [theta, log_sigma2].map(|values| {
        let [value, m, v] = values.each_ref().map(tensor);
        (Var::from_tensor(&value).unwrap(), m, v)
    });
    let data = gradients.each_ref().map(tensor);
    let adam = |(value, m, v): &(Var, Tensor, Tensor), g: &Tensor| -> candle_core::Result<()> {
        let m = ((m * 0.9)? + (g * 0.1)?)?;
        let v = ((v * 0.999)? + (g.sqr()? * 0.001)?)?;
        let root = (v.sqrt()? + 1e-8)?;
        value.set(&(value.as_detached_tensor() - ((m / root)? * 1e-9)?)?)
    };
    bencher
        .counter(bytes(len))
        .counter(ItemsCount::new(len))
        .bench_local(|| {
            let [theta, log_sigma2] = &parameters;
            let kl = Prior::Hierarchical.kl_sum(&theta.0, &log_sigma2.0).unwrap();
            let kl = (kl * f64::from(KL_FACTOR)).unwrap().backward().unwrap();
            for (parameter, data) in parameters.iter().zip(&data) {
                let gradient = (kl.get(&parameter.0).unwrap().detach() + data).unwrap();
                adam(parameter, &gradient).unwrap();
            }
        });
}

/// Normal draws for 300 units of 100 samples.
#[divan::bench]
fn noise_kernel(bencher: Bencher<'_, '_>) {
    let mut row = vec![0.0; 100];
    bencher
        .counter(ItemsCount::new(30_000_usize))
        .bench_local(|| {
            for unit in 0..300 {
                key(0).fill_normal(unit, black_box(&mut row));
            }
        });
}

/// Box-Muller in plain code, on the same uniform draws.
#[divan::bench]
fn noise_plain(bencher: Bencher<'_, '_>) {
    let mut row = vec![0.0; 100];
    bencher
        .counter(ItemsCount::new(30_000_usize))
        .bench_local(|| {
            for unit in 0..300 {
                key(0).fill_uniform(unit, &mut row);
                for pair in row.chunks_exact_mut(2) {
                    let radius = (-2.0 * pair[0].ln()).sqrt();
                    let (sin, cos) = (std::f32::consts::TAU * pair[1]).sin_cos();
                    (pair[0], pair[1]) = (radius * cos, radius * sin);
                }
                black_box(&mut row);
            }
        });
}

/// Local reparameterisation of 300 units with noise, bias and ReLU.
#[divan::bench]
fn sample_kernel(bencher: Bencher<'_, '_>) {
    let lanes = 104;
    let (bias, mut noise) = (vec![0.1; 300], vec![0.0; lanes]);
    bencher
        .counter(ItemsCount::new(30_000_usize))
        .with_inputs(|| (values(1, 300 * lanes), vec![1.0; 300 * lanes]))
        .bench_local_refs(|(mean, variance)| sample(mean, variance, &bias, key(0), &mut noise));
}

#[divan::bench]
fn sample_candle(bencher: Bencher<'_, '_>) {
    let tensor = |seed| Tensor::from_vec(values(seed, 30_000), (100, 300), &Device::Cpu).unwrap();
    let (mean, variance) = (tensor(1), tensor(2).sqr().unwrap());
    let sample = || {
        let mut draws = vec![0.0; 30_000];
        for (unit, row) in (0..).zip(draws.chunks_exact_mut(100)) {
            key(0).fill_normal(unit, row);
        }
        let eps = Tensor::from_vec(draws, (300, 100), &Device::Cpu)?
            .t()?
            .contiguous()?;
        (&mean + (((&variance + 1e-8)?.sqrt()? * eps)? + 0.1)?)?.relu()
    };
    bencher
        .counter(ItemsCount::new(30_000_usize))
        .bench_local(|| sample().unwrap());
}

/// Pooling 20 channels of 24 x 24, 100 samples, forward and backward.
#[divan::bench]
fn max_pool_kernel(bencher: Bencher<'_, '_>) {
    let (side, lanes) = (24, 104);
    let x = values(1, side * side * lanes);
    let (mut y, mut g_x) = (vec![0.0; x.len() / 4], vec![0.0; x.len()]);
    let mut left = vec![0.0; lanes];
    bencher
        .counter(ItemsCount::new(20 * side * side * 100))
        .bench_local(|| {
            for _channel in 0..20 {
                max_pool(2, side, &x, &mut y, &mut g_x, &mut left);
            }
        });
}

#[divan::bench(sample_count = 20)]
fn max_pool_candle(bencher: Bencher<'_, '_>) {
    let shape = [100, 20, 24, 24];
    let x = Tensor::from_vec(values(1, 100 * 20 * 576), &shape, &Device::Cpu).unwrap();
    let x = Var::from_tensor(&x).unwrap();
    bencher
        .counter(ItemsCount::new(x.elem_count()))
        .bench_local(|| {
            let y = max_pool2d(&x, 2).unwrap();
            y.flatten_from(0)
                .unwrap()
                .sum(D::Minus1)
                .unwrap()
                .backward()
                .unwrap()
        });
}
