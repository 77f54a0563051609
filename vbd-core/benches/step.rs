//! Whole training steps, batch 100, on one thread: the CPU engine, the same at the density of a run's
//! end, and the reference by Candle's autograd.
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

mod support;

use candle_core::Device;
use divan::Bencher;
use support::{BATCH, at, engine, net, objective, recipe, samples, with_density};
use vbd_core::step::{Batch, CandleStep, Step};
use vbd_core::weight::Parameters;
use vbd_net::spec::Normalizer;

fn main() {
    support::on_one_thread();
    divan::main();
}

const NETS: [&str; 2] = ["lenet-300-100", "lenet-5-caffe"];

fn time(bencher: Bencher<'_, '_>, engine: &mut dyn Step, lr: f64) {
    let samples = samples([1, 28, 28], 10 * BATCH);
    let indices: Vec<u32> = (0..).take(samples.len()).collect();
    let mut batches = (0..).zip(indices.chunks(BATCH).cycle());
    bencher.bench_local(|| {
        let (step, indices) = batches.next().unwrap();
        let samples = &samples;
        engine
            .step(&Batch::of(samples, indices), &at(step, lr))
            .unwrap()
    });
}

#[divan::bench(args = NETS)]
fn cpu_step(bencher: Bencher<'_, '_>, name: &str) {
    let spec = net(name);
    let samples = samples([1, 28, 28], 10 * BATCH);
    let parameters = Parameters::init(&spec, &recipe()).unwrap();
    time(
        bencher,
        &mut engine(&spec, &samples, &parameters, (1, true)),
        1e-3,
    );
}

/// Every layer at 2 %, evenly spread.
#[divan::bench(args = NETS)]
fn cpu_step_compact_2_percent(bencher: Bencher<'_, '_>, name: &str) {
    let spec = net(name);
    let samples = samples([1, 28, 28], 10 * BATCH);
    let names: Vec<&str> = spec
        .layers
        .iter()
        .filter_map(|layer| layer.kind().name())
        .collect();
    let parameters = with_density(&spec, &names, 0.02);
    time(
        bencher,
        &mut engine(&spec, &samples, &parameters, (1, true)),
        0.0,
    );
}

#[divan::bench(args = NETS, sample_count = 10)]
fn candle_step(bencher: Bencher<'_, '_>, name: &str) {
    let spec = net(name);
    let samples = samples([1, 28, 28], 10 * BATCH);
    let parameters = Parameters::init(&spec, &recipe()).unwrap();
    let normalizer = Normalizer::measure(&spec, &samples);
    let engine = CandleStep::new(
        &spec,
        objective(&spec),
        &normalizer,
        &parameters,
        &Device::Cpu,
    );
    time(bencher, &mut engine.unwrap(), 1e-3);
}
