//! Runs a kernel a given number of times, for `scripts/vectorised` to count its instructions under callgrind.
//!
//! `counts KERNEL TIMES` prints the number of weights, draws, values or multiply-adds per call.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod support;

use support::values;
use vbd_core::bench_internals::{
    Conv, Sparse, Weights, aligned, max_pool, product, sample, sparse,
};
use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::prior::Prior;

const LANES: usize = 104;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [kernel, times] = [&arguments[1], &arguments[2]];
    let (mut run, items) = kernel_of(kernel);
    for _ in 0..times.parse().unwrap() {
        run();
    }
    println!("{items}");
}

/// A kernel, and the items of one call.
fn kernel_of(name: &str) -> (Box<dyn FnMut()>, usize) {
    let key = NoiseKey {
        seed: 1,
        step: 2,
        stream: Stream::Layer(0),
    };
    match name {
        "update_variational" => updates(Prior::Hierarchical),
        "update_variational_log_uniform" => updates(Prior::LogUniform),
        "fill_normal" => {
            let mut draws = vec![0.0; 1024];
            (Box::new(move || key.fill_normal(3, &mut draws)), 1024)
        }
        "sample_rows" => {
            let (bias, mut noise) = (vec![0.1; 16], vec![0.0; LANES]);
            let (mut mean, mut variance) = (values(1, 16 * LANES), vec![1.0; 16 * LANES]);
            let run = move || sample(&mut mean, &mut variance, &bias, key, &mut noise);
            (Box::new(run), 16 * LANES)
        }
        "max_pool" => {
            let x = values(1, 24 * 24 * LANES);
            let (mut y, mut g_x) = (vec![0.0; x.len() / 4], vec![0.0; x.len()]);
            let (mut left, len) = (vec![0.0; LANES], x.len());
            let run = move || max_pool(2, 24, &x, &mut y, &mut g_x, &mut left);
            (Box::new(run), len)
        }
        "product" => {
            let (w, x) = (
                aligned(&values(1, 36 * 256)),
                aligned(&values(2, 256 * LANES)),
            );
            let mut y = aligned(&values(3, 36 * LANES));
            let run = move || product(&mut y, [36, LANES, 256], &w, false, &x);
            (Box::new(run), 36 * 256 * LANES)
        }
        "conv_product" => {
            let conv = Conv::new(8, 10, 12, 5, LANES);
            let [x, w, mut y] = conv.sizes().map(|len| aligned(&values(1, len)));
            let items = conv.flops() / 2;
            (Box::new(move || conv.forward(&w, &x, &mut y)), items)
        }
        "dots" => {
            let conv = Conv::new(8, 10, 12, 5, LANES);
            let [x, mut w, g] = conv.sizes().map(|len| aligned(&values(1, len)));
            let (items, mut sums) = (conv.flops() / 2, Vec::new());
            (
                Box::new(move || conv.weight_gradient(&x, &g, &mut w, &mut sums)),
                items,
            )
        }
        "sparse_products" => {
            let rows: Vec<Sparse> = (0..16).map(|_| sparse_row()).collect();
            let dense = values(1, 64 * LANES);
            let (mut mean, mut variance) = (vec![0.0; 16 * LANES], vec![0.0; 16 * LANES]);
            let run = move || sparse(&rows, [&dense, &dense], [&mut mean, &mut variance]);
            (Box::new(run), 2 * 16 * 32 * LANES)
        }
        unknown => panic!("no kernel `{unknown}`"),
    }
}

fn sparse_row() -> Sparse {
    Sparse {
        indices: (0..32).map(|index| index * 2).collect(),
        first: values(1, 32),
        second: values(2, 32),
    }
}

fn updates(prior: Prior) -> (Box<dyn FnMut()>, usize) {
    let len = 1024;
    let small = |seed| values(seed, len).into_iter().map(|x| 0.01 * x).collect();
    let squares = |seed| {
        values(seed, len)
            .into_iter()
            .map(|x| 1e-6 * x * x + 1e-9)
            .collect()
    };
    let mut weights = Weights {
        theta: [small(1), small(2), squares(3)],
        log_sigma2: [vec![-10.0; len], small(4), squares(5)],
        masked: [small(6), vec![4.5e-5; len]],
        gradients: [small(7), small(8)],
    };
    (Box::new(move || weights.update(prior, 1e-5, 1000)), len)
}
