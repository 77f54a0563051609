//! Rates of the training step's dense products beside the `gemm` crate's (by Candle's product) for two
//! matrices of 768 x 768, on one thread, the two in turns: the machine's speed cancels out.
//!
//! `cargo bench -p vbd-core --features bench-internals --bench rates [-- TURNS]`
//!
//! Operations are those that the mathematics needs: padding to whole vectors does not count.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod support;

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Tensor};
use support::{BATCH, values};
use vbd_core::bench_internals::{Conv, LANES, aligned, product};

/// A product, and its operations.
struct Case<'a> {
    name: String,
    operations: usize,
    run: Box<dyn FnMut() + 'a>,
}

fn main() {
    support::on_one_thread();
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let turns: usize = asked.unwrap_or(31);
    println!(
        "{}; operations a nanosecond, medians of {turns} turns",
        set()
    );
    println!(
        "{:34} {:>8} {:>8} {:>16}",
        "", "rate", "gemm", "ratio (quartiles)"
    );
    let mut floor = gemm();
    for mut case in cases() {
        let mut rates: Vec<[f64; 2]> = Vec::new();
        for _ in 0..turns {
            rates.push([rate(&mut case), rate(&mut floor)]);
        }
        let median = |values: &mut Vec<f64>, share: usize| {
            values.sort_by(f64::total_cmp);
            values[(values.len() - 1) * share / 4]
        };
        let mut own = rates.iter().map(|[own, _]| *own).collect();
        let mut other = rates.iter().map(|[_, other]| *other).collect();
        let mut ratios = rates.iter().map(|[own, other]| own / other).collect();
        println!(
            "{:34} {:8.1} {:8.1} {:8.2} ({:.2} to {:.2})",
            case.name,
            median(&mut own, 2),
            median(&mut other, 2),
            median(&mut ratios, 2),
            median(&mut ratios, 1),
            median(&mut ratios, 3),
        );
    }
}

fn set() -> String {
    vbd_net::simd::instruction_set().unwrap().to_string()
}

/// Operations a nanosecond over about 10 ms.
fn rate(case: &mut Case<'_>) -> f64 {
    let clock = Instant::now();
    let mut calls = 0;
    while clock.elapsed().as_millis() < 10 {
        (case.run)();
        calls += 1;
    }
    (calls * case.operations) as f64 / clock.elapsed().as_nanos() as f64
}

fn gemm() -> Case<'static> {
    let n = 768;
    let matrix = |seed| Tensor::from_vec(values(seed, n * n), (n, n), &Device::Cpu).unwrap();
    let (a, b) = (matrix(1), matrix(2));
    Case {
        name: "gemm".to_owned(),
        operations: 2 * n * n * n,
        run: Box::new(move || {
            black_box(a.matmul(&b).unwrap());
        }),
    }
}

fn cases() -> Vec<Case<'static>> {
    let lanes = BATCH.next_multiple_of(LANES);
    let mut cases = Vec::new();
    // Rows of a block, of LeNet-5's convolutions.
    // The same of ResNet-8's, on images that are padded already.
    for (channels, side, rows, kernel) in [
        (1, 28, 5, 5),
        (20, 12, 12, 5),
        (16, 34, 4, 3),
        (16, 34, 8, 3),
        (16, 34, 16, 3),
        (32, 18, 12, 3),
        (64, 10, 12, 3),
    ] {
        let conv = || Conv::new(channels, side, rows, kernel, lanes);
        let operations = conv().flops() / lanes * BATCH;
        let shape = format!("conv {channels} -> {rows} @ {kernel}x{kernel}, {side}");
        let [x, w, mut y] = conv().sizes().map(|len| aligned(&values(1, len)));
        let own = conv();
        cases.push(Case {
            name: format!("{shape}, forward"),
            operations,
            run: Box::new(move || own.forward(&w, &x, &mut y)),
        });
        let [x, mut w, g] = conv().sizes().map(|len| aligned(&values(1, len)));
        let (own, mut sums) = (conv(), Vec::new());
        cases.push(Case {
            name: format!("{shape}, weight gradient"),
            operations,
            run: Box::new(move || own.weight_gradient(&x, &g, &mut w, &mut sums)),
        });
    }
    // LeNet-5's and LeNet-300-100's largest layers, blocks as the engine cuts them: `[rows, columns, taps]`,
    // whether the weight is turned, and columns that only pad.
    let padding = lanes - BATCH;
    for (name, [m, n, k], turned, padding) in [
        ("800 -> 500, forward", [39, lanes, 800], false, padding),
        ("800 -> 500, input gradient", [60, lanes, 39], true, padding),
        ("800 -> 500, weight gradient", [39, 800, BATCH], false, 0),
        ("300 -> 100, forward", [25, lanes, 300], false, padding),
        ("300 -> 100, input gradient", [60, lanes, 25], true, padding),
        ("300 -> 100, weight gradient", [25, 300, BATCH], false, 0),
    ] {
        let [w, x, mut out] = [m * k, k * n, m * n].map(|len| aligned(&values(1, len)));
        cases.push(Case {
            name: format!("linear {name}"),
            operations: 2 * m * (n - padding) * k,
            run: Box::new(move || product(&mut out, [m, n, k], &w, turned, &x)),
        });
    }
    cases
}
