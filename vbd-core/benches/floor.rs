//! Lower bound of a dense training step: the time that the `gemm` crate (by Candle's product) takes for
//! the step's products alone, each as matrices of its own shape, on one thread.
//!
//! `cargo bench -p vbd-core --features bench-internals --bench floor -- NET [TURNS]`
//!
//! A tenth of the batch at a time: larger outputs would be mapped and zeroed by the kernel at each call.
//! A convolution's matrices are those of a column buffer, which is not filled here; those of a depthwise
//! convolution are left out, since a column buffer would be most of the time.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod support;

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Tensor};
use support::{BATCH, net, values};
use vbd_net::graph::NodeId;

/// Parts of a batch.
const PARTS: usize = 10;

fn main() {
    support::on_one_thread();
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let name = arguments.next().unwrap_or_else(|| "resnet-8".to_owned());
    let turns = arguments.next().map_or(9, |turns| turns.parse().unwrap());
    let graph = net(&name).resolve().unwrap();
    println!(
        "{:16} {:>22} {:>9} {:>9} {:>8}",
        name, "rows x taps x columns", "product", "ms", "GFLOP/s"
    );
    let (mut seconds, mut operations) = (0.0, 0.0);
    for weight in graph.weights().iter().filter(|weight| weight.groups == 1) {
        let (m, k, n) = (
            weight.rows(),
            weight.cols(),
            weight.positions * BATCH / PARTS,
        );
        let mut products = vec![("outputs", [m, k, n]), ("weight", [m, n, k])];
        if graph.node(weight.node).inputs != [NodeId::INPUT] {
            products.push(("input", [k, m, n]));
        }
        for (product, shape) in products {
            let each = PARTS as f64 * time(shape, turns);
            let of_product = (2 * PARTS * shape.iter().product::<usize>()) as f64;
            println!(
                "{:16} {:>22} {product:>9} {:9.2} {:8.1}",
                weight.layer,
                format!("{m} x {k} x {n}"),
                1e3 * each,
                of_product / each / 1e9
            );
            seconds += each;
            operations += of_product;
        }
    }
    println!(
        "together: {:.1} ms on one thread, {:.2} GFLOP, {:.1} GFLOP/s",
        1e3 * seconds,
        operations / 1e9,
        operations / seconds / 1e9
    );
}

/// Median seconds of `[m, k] x [k, n]`.
fn time([m, k, n]: [usize; 3], turns: usize) -> f64 {
    let matrix = |seed, rows, columns| {
        Tensor::from_vec(values(seed, rows * columns), (rows, columns), &Device::Cpu).unwrap()
    };
    let (left, right) = (matrix(1, m, k), matrix(2, k, n));
    let mut times: Vec<f64> = (0..turns)
        .map(|_| {
            let clock = Instant::now();
            black_box(left.matmul(&right).unwrap());
            clock.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
