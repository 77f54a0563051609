//! Random networks of every kind of layer along the whole road: one step of both engines, the pruned
//! net against the masked one, the shrunk net, batches, and files.
#![expect(clippy::unwrap_used, reason = "tests: helpers may panic")]

mod common;

use std::path::Path;

use candle_core::Device;
use common::nets::{Kinds, random_spec};
use common::{checkpoint_of, random_samples};
use vbd_core::step::{At, Batch, CandleStep, CpuConfig, CpuStep, Objective, Step};
use vbd_core::train::Checkpoint;
use vbd_core::weight::{Parameter, Parameters};
use vbd_net::data::Samples;
use vbd_net::spec::{LayerSpec, NetSpec};
use vbd_net::{Plan, PrunedFile, PrunedNet, ValueType};
use vbd_prune::prune_checkpoint;

const NETS: u64 = 200;
const BATCH: usize = 23;
/// Gradients agree to this share of the net's largest: f32 sums in another order.
const GRADIENT_TOLERANCE: f32 = 1e-4;
/// Outputs agree to this share of the largest.
const OUTPUT_TOLERANCE: f32 = 1e-5;

fn engines(checkpoint: &Checkpoint) -> [Box<dyn Step>; 2] {
    let Checkpoint {
        spec,
        recipe,
        normalizer,
        parameters,
        ..
    } = checkpoint;
    let objective = Objective::new(spec, recipe, 60).unwrap();
    let config = CpuConfig {
        batch_size: BATCH,
        threads: 2,
        compaction: true,
    };
    let cpu = CpuStep::new(
        spec,
        objective.clone(),
        normalizer.clone(),
        parameters,
        config,
    );
    let candle = CandleStep::new(spec, objective, normalizer, parameters, &Device::Cpu);
    [Box::new(cpu.unwrap()), Box::new(candle.unwrap())]
}

/// All gradients of a first step, by tensor: a tenth of them are the first moments.
fn gradients(parameters: &Parameters) -> Vec<(String, Vec<f32>)> {
    let of = |name: String, parameter: &Parameter| (name, parameter.m.clone());
    let layers = parameters.layers.iter().flat_map(|layer| {
        let name = &layer.name;
        let weight = layer.weight.to_dense();
        let states = weight.states();
        let states = states.map(|state| of(format!("{name}.{}", state.name), &state.parameter));
        let mut all: Vec<_> = states.collect();
        all.push(of(format!("{name}.weight"), weight.theta()));
        all.push(of(format!("{name}.bias"), &layer.bias));
        all
    });
    let norms = parameters.norms.iter().flat_map(|norm| {
        [
            of(format!("{}.weight", norm.name), &norm.weight),
            of(format!("{}.bias", norm.name), &norm.bias),
        ]
    });
    layers.chain(norms).collect()
}

fn largest<'a>(values: impl IntoIterator<Item = &'a f32>) -> f32 {
    values.into_iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// A network to train. A batch normalisation of values that are nearly constant would make large
/// numbers of rounding errors, so each adds more to its variances than by default.
fn trained_spec(seed: u64) -> NetSpec {
    let mut spec = random_spec(seed, Kinds::Trained);
    for layer in &mut spec.layers {
        if let LayerSpec::BatchNorm(norm) = layer {
            norm.eps = 0.05;
        }
    }
    spec
}

#[test]
fn both_engines_give_equal_gradients_and_running_statistics() {
    for seed in 0..NETS {
        let spec = trained_spec(seed);
        let checkpoint = checkpoint_of(spec.clone(), seed);
        let samples = random_samples(&spec, BATCH, seed);
        let indices: Vec<u32> = (0..).take(BATCH).collect();
        let batch = Batch::of(&samples, &indices);
        let at = At {
            seed,
            step: 0,
            lr: 1e-3,
            kl_scale: 0.7,
        };
        let [cpu, candle] = engines(&checkpoint).map(|mut engine| {
            let nll = engine.step(&batch, &at).unwrap();
            (nll, engine.parameters().unwrap())
        });
        let close = (cpu.0 - candle.0).abs() <= 1e-4 * candle.0.abs();
        assert!(close, "{seed}: {} {}", cpu.0, candle.0);
        let (own, other) = (gradients(&cpu.1), gradients(&candle.1));
        let scale = largest(other.iter().flat_map(|(_, values)| values));
        for ((name, own), (_, other)) in own.iter().zip(&other) {
            for (index, (a, b)) in own.iter().zip(other).enumerate() {
                let close = (a - b).abs() <= GRADIENT_TOLERANCE * scale;
                assert!(close, "{seed} {name}[{index}]: {a} {b}, largest {scale}");
            }
        }
        for (a, b) in cpu.1.norms.iter().zip(&candle.1.norms) {
            for (a, b) in [
                (&a.running_mean, &b.running_mean),
                (&a.running_var, &b.running_var),
            ] {
                let scale = largest(b).max(1e-3);
                let mut pairs = a.iter().zip(b);
                assert!(pairs.all(|(a, b)| (a - b).abs() <= 1e-4 * scale), "{seed}");
            }
        }
    }
}

/// The outputs of a net.
fn outputs(net: &PrunedNet, samples: &Samples) -> Vec<f32> {
    let mut session = Plan::new(net).unwrap().session();
    session
        .run(samples.inputs().bytes().unwrap())
        .unwrap()
        .to_vec()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    let scale = largest(expected).max(1e-3);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let close = (found - expected).abs() <= OUTPUT_TOLERANCE * scale;
        assert!(close, "{what}: {found} {expected}, largest {scale}");
    }
}

#[test]
fn a_pruned_net_is_the_masked_net_alone_in_batches_shrunk_and_from_its_file() {
    for seed in 0..NETS {
        let spec = random_spec(seed, Kinds::Trained);
        let checkpoint = checkpoint_of(spec.clone(), seed);
        let samples = random_samples(&spec, 64, seed);
        let net = prune_checkpoint(&checkpoint, None).unwrap();
        assert!(net.graph().norms().is_empty(), "{seed}");
        let expected = outputs(&net, &samples);
        for engine in &mut engines(&checkpoint) {
            let masked = engine.evaluate(&samples).unwrap();
            let pruned = vbd_prune::SparseNet::new(&net).unwrap();
            let pruned = pruned.evaluate(&samples).unwrap();
            let (a, b) = (masked.nll().unwrap(), pruned.nll().unwrap());
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1e-3), "{seed}: {a} {b}");
        }
        let mut session = Plan::new(&net).unwrap().session();
        let bytes = samples.inputs().bytes().unwrap();
        let alone = bytes.chunks_exact(spec.input_len()).flat_map(|sample| {
            let outputs = session.run(sample).unwrap();
            outputs.to_vec()
        });
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&alone.collect::<Vec<_>>()), bits(&expected), "{seed}");
        let shrunk = net.shrunk().unwrap();
        assert_close(
            &outputs(&shrunk, &samples),
            &expected,
            &format!("{seed} shrunk"),
        );
        for net in [&net, &shrunk] {
            let file = PrunedFile::new(net, None, ValueType::F32).unwrap();
            let bytes = file.to_bytes().unwrap();
            let read = PrunedFile::from_bytes(&bytes, Path::new("net")).unwrap();
            assert_eq!(read.net(), file.net(), "{seed}");
        }
    }
}
