//! Networks, parameters and images for the benchmarks.
#![allow(dead_code, reason = "each benchmark uses its part")]
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::posterior;
use vbd_core::recipe::NetToml;
use vbd_core::recipe::Recipe;
use vbd_core::step::{At, CpuConfig, CpuStep, Objective};
use vbd_core::weight::{LayerParameters, Parameter, Parameters, Weight};
use vbd_net::data::Samples;
use vbd_net::spec::{NetSpec, Normalizer};

/// Samples of a step.
pub(crate) const BATCH: usize = 100;

/// Draws from (0, 1].
pub(crate) fn uniform(seed: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    NoiseKey {
        seed,
        step: 0,
        stream: Stream::Other(9),
    }
    .fill_uniform(0, &mut values);
    values
}

/// Images of `[channels, side, side]` in which, as in MNIST, a fifth of the pixels are not zero, most
/// of them near the middle.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels and labels"
)]
pub(crate) fn samples([channels, height, width]: [usize; 3], count: usize) -> Samples {
    let len = channels * height * width;
    let ink = |place: usize| {
        let off = |at: usize, size: usize| 2.0 * (at as f32 + 0.5) / size as f32 - 1.0;
        let (y, x) = (
            off(place / width % height, height),
            off(place % width, width),
        );
        (1.1 - 1.6 * (y * y + x * x)).max(0.0) * 0.5
    };
    let draws = uniform(1, count * len);
    let pixels = draws.iter().enumerate().map(|(index, &draw)| {
        let ink = ink(index % len);
        if draw <= ink {
            (1.0 + 254.0 * draw / ink) as u8
        } else {
            0
        }
    });
    let labels = (0..count).map(|index| (index % 10) as u8);
    Samples::new(pixels.collect::<Vec<u8>>(), labels.collect(), len).unwrap()
}

/// A network of this crate's zoo.
pub(crate) fn net(name: &str) -> NetSpec {
    let path = format!(
        "{}/../vbd-models/nets/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    NetSpec::from_toml(&std::fs::read_to_string(&path).unwrap(), &path).unwrap()
}

/// The recipe of the paper's nets.
pub(crate) fn recipe() -> Recipe {
    let text = "summary = 'bench'\n[method]\nkind = 'vbd'\ntheta_init = 'normal(0.01)'\n";
    Recipe::from_toml(text, "bench").unwrap()
}

/// Initial parameters with an evenly spread share of live weights in the layers with these names.
pub(crate) fn with_density(spec: &NetSpec, names: &[&str], density: f32) -> Parameters {
    let mut parameters = Parameters::init(spec, &recipe()).unwrap();
    for (seed, layer) in (2..).zip(&mut parameters.layers) {
        if names.contains(&layer.name.as_str()) {
            thin(layer, seed, density);
        }
    }
    parameters
}

fn thin(layer: &mut LayerParameters, seed: u64, density: f32) {
    let weight = &layer.weight;
    let draws = uniform(seed, weight.numel());
    let places = (0..).zip(&draws).filter(|&(_, &draw)| draw <= density);
    let live: Vec<u32> = places.map(|(place, _)| place).collect();
    // Far from the threshold, so that all live weights take part.
    let value = |value: f32| Parameter::new(vec![value; live.len()]);
    let (theta, log_sigma2) = (value(0.05), posterior::state(value(-9.0)));
    layer.weight = Weight::compact(weight.shape(), live.clone(), theta, vec![log_sigma2]).unwrap();
}

/// The CPU engine in mid-warm-up.
pub(crate) fn engine(
    spec: &NetSpec,
    samples: &Samples,
    parameters: &Parameters,
    (threads, compaction): (usize, bool),
) -> CpuStep {
    CpuStep::new(
        spec,
        objective(spec),
        Normalizer::measure(spec, samples),
        parameters,
        CpuConfig {
            batch_size: BATCH,
            threads,
            compaction,
        },
    )
    .unwrap()
}

/// The objective of a run on MNIST.
pub(crate) fn objective(spec: &NetSpec) -> Objective {
    Objective::new(spec, &recipe(), 60_000).unwrap()
}

/// A step in mid-warm-up; a learning rate of 0 keeps what lives where it is.
pub(crate) fn at(step: u32, lr: f64) -> At {
    At {
        seed: 0,
        step,
        lr,
        kl_scale: 0.5,
    }
}

/// Runs this program again with one thread for Candle, which reads its number of threads from the
/// environment; returns in that second run alone.
pub(crate) fn on_one_thread() {
    const THREADS: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];
    if THREADS.iter().all(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(std::env::args_os().skip(1));
    for name in THREADS {
        again.env(name, "1");
    }
    std::process::exit(again.status().unwrap().code().unwrap_or(1));
}

/// Values between -1 and 1.
pub(crate) fn values(seed: u64, len: usize) -> Vec<f32> {
    let values = uniform(seed, len).into_iter();
    values.map(|value| 2.0 * value - 1.0).collect()
}
