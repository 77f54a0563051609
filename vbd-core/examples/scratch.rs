//! Scratch timing.
use std::time::Instant;
use vbd_core::data::Samples;
use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::recipe::Recipe;
use vbd_core::spec::{NetSpec, Normalizer};
use vbd_core::step::{At, Batch, CpuStep, Objective, Step};
use vbd_core::weight::Parameters;
fn main() {
    let threads: usize = std::env::args().nth(1).map_or(2, |t| t.parse().unwrap());
    let net = std::env::args().nth(2).unwrap_or("lenet-300-100".into());
    let text = &std::fs::read_to_string(format!("vbd-models/nets/{net}.toml")).unwrap();
    let spec = NetSpec::from_toml(text, "x").unwrap();
    let recipe = Recipe::from_toml(
        "summary='s'\n[method]\nkind='vbd'\ntheta_init='normal(0.01)'\n",
        "r",
    )
    .unwrap();
    let mut u = vec![0.0; 784 * 1000];
    NoiseKey {
        seed: 1,
        step: 0,
        stream: Stream::Other(1),
    }
    .fill_uniform(0, &mut u);
    let img = u
        .iter()
        .map(|&x| {
            if x > 0.81 {
                ((x - 0.81) * 1300.0) as u8
            } else {
                0
            }
        })
        .collect();
    let samples = Samples::new(img, (0..1000).map(|i| (i % 10) as u8).collect(), 784).unwrap();
    let p = Parameters::init(&spec, &recipe).unwrap();
    let obj = Objective {
        n_train: 60000,
        ..Objective::of(&recipe, 1000)
    };
    let n = Normalizer::measure(&spec, &samples);
    let mut e = CpuStep::new(
        &spec,
        obj,
        n,
        &p,
        vbd_core::step::CpuConfig {
            batch_size: 100,
            threads,
            compaction: true,
        },
    )
    .unwrap();
    let idx: Vec<u32> = (0..1000).collect();
    let mut times = vec![];
    for s in 0..if net == "lenet-5-caffe" { 40u32 } else { 400 } {
        let b = &idx[(s as usize % 10) * 100..][..100];
        let t = Instant::now();
        e.step(
            Batch {
                samples: &samples,
                indices: b,
            },
            &At {
                seed: 0,
                step: s,
                lr: 1e-3,
                kl_scale: 0.5,
            },
        )
        .unwrap();
        times.push(t.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "step median {:.3} ms, min {:.3}",
        times[times.len() / 2],
        times[0]
    );
    let t = Instant::now();
    for _ in 0..10 {
        e.evaluate(&samples).unwrap();
    }
    println!("evaluate 10000: {:.1} ms", t.elapsed().as_secs_f64() * 1e3);
    let mut row = vec![0.0; 100];
    let t = Instant::now();
    for i in 0..10000 {
        NoiseKey {
            seed: 1,
            step: i,
            stream: Stream::Layer(0),
        }
        .fill_normal(i, &mut row);
    }
    println!(
        "normals: {:.2} ns each",
        t.elapsed().as_secs_f64() * 1e9 / 1e6
    );
}
