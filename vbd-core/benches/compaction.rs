//! Measures the share of live entries below which the compact form of a weight is faster.
//!
//! `cargo bench -p vbd-core --features bench-internals --bench compaction -- [THREADS]` times whole
//! training steps of small networks that consist mainly of one layer, dense and compact in
//! turns, and prints the ratio at several densities. The constants in `step/cpu/form/mod.rs` come
//! from here.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

mod support;

use std::time::Instant;

use support::{BATCH, at, engine, samples, with_density};
use vbd_core::recipe::NetToml;
use vbd_core::step::{Batch, CpuStep, Step};
use vbd_net::data::Samples;
use vbd_net::spec::NetSpec;

/// Times that each engine has its turn, and steps of a turn.
const TURNS: usize = 15;
const STEPS: usize = 4;

/// A case: name, densities, and the network with the layer `it`.
struct Case {
    name: &'static str,
    densities: &'static [f32],
    layers: &'static str,
    input: [usize; 3],
}

const LINEAR: &[f32] = &[0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.02];
const TAPS: &[f32] = &[0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.03];

const CASES: [Case; 7] = [
    Case {
        name: "linear 300 -> 100",
        densities: LINEAR,
        layers: "linear a 300, relu, linear it 100, relu, linear z 10",
        input: [1, 4, 4],
    },
    Case {
        name: "linear 800 -> 500",
        densities: LINEAR,
        layers: "linear a 800, relu, linear it 500, relu, linear z 10",
        input: [1, 4, 4],
    },
    Case {
        name: "pixels 784 -> 300",
        densities: LINEAR,
        layers: "linear it 300, relu, linear z 10",
        input: [1, 28, 28],
    },
    Case {
        name: "pixels 784 -> 1000",
        densities: LINEAR,
        layers: "linear it 1000, relu, linear z 10",
        input: [1, 28, 28],
    },
    Case {
        name: "taps, first, 1 -> 20 @ 5x5 on 28 x 28",
        densities: TAPS,
        layers: "conv2d it 20 5, relu, max_pool2d 4, linear z 10",
        input: [1, 28, 28],
    },
    Case {
        name: "taps 20 -> 50 @ 5x5 on 12 x 12",
        densities: TAPS,
        layers: "conv2d a 20 1, relu, conv2d it 50 5, relu, max_pool2d 2, linear z 10",
        input: [1, 12, 12],
    },
    Case {
        name: "taps 64 -> 64 @ 3x3 on 8 x 8",
        densities: TAPS,
        layers: "conv2d a 64 1, relu, conv2d it 64 3, relu, max_pool2d 2, linear z 10",
        input: [1, 8, 8],
    },
];

fn main() {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<usize>().ok());
    let threads = numbers.next().unwrap_or(1);
    println!("threads {threads}, batch {BATCH}; medians of {TURNS} turns, microseconds a step");
    for case in CASES {
        let spec = spec(case.layers, case.input);
        let samples = samples(case.input, 10 * BATCH);
        println!("\n{}\n density    dense  compact   ratio", case.name);
        for &density in case.densities {
            let parameters = with_density(&spec, &["it"], density);
            let dense = engine(&spec, &samples, &parameters, (threads, false));
            let mut compact = engine(&spec, &samples, &parameters, (threads, false));
            compact.compact_only("it").unwrap();
            let [dense, compact] = in_turns([dense, compact], &samples);
            let ratio = compact / dense;
            println!("{density:>8.2} {dense:>8.0} {compact:>8.0} {ratio:>7.2}");
        }
    }
}

/// Median microseconds a step of each engine.
fn in_turns(mut engines: [CpuStep; 2], samples: &Samples) -> [f64; 2] {
    let indices: Vec<u32> = (0..).take(samples.len()).collect();
    let batches: Vec<&[u32]> = indices.chunks(BATCH).collect();
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..=TURNS {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            // The first step of a turn brings the engine's data back into the caches.
            for step in 0..=STEPS {
                let indices = batches[(turn * STEPS + step) % batches.len()];
                let start = Instant::now();
                let at = at(u32::try_from(step).unwrap(), 0.0);
                engine.step(&Batch::of(samples, indices), &at).unwrap();
                if turn > 0 && step > 0 {
                    times.push(start.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// A network from `kind [name] sizes`, with commas between the layers.
fn spec(layers: &str, input: [usize; 3]) -> NetSpec {
    let mut text = format!(
        "name = 'bench'\ninput = {input:?}\nclasses = 10\n\
         normalize = {{ scale = 0.00390625, mean = 'image' }}\n"
    );
    for layer in layers.split(", ") {
        let words: Vec<&str> = layer.split(' ').collect();
        let fields = match words[..] {
            ["linear", name, out] => format!("name = '{name}'\nout_features = {out}"),
            ["conv2d", name, out, kernel] => {
                format!("name = '{name}'\nout_channels = {out}\nkernel = {kernel}")
            }
            ["max_pool2d", kernel] => format!("kernel = {kernel}"),
            _ => String::new(),
        };
        let kind = words[0];
        text += "[[layer]]\nkind = '";
        text += kind;
        text += "'\n";
        text += &fields;
        text += "\n";
    }
    NetSpec::from_toml(&text, "bench").unwrap()
}
