//! Pruning of units: gates that fold, shrunk nets with the same logits, and their files.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod common;

use std::path::Path;

use candle_core::{Device, Module, Tensor};
use common::residual::{gated_residual_checkpoint, residual_checkpoint};
use common::{
    Draws, checkpoint_of, deployed, gated_checkpoint, random_checkpoint, random_samples, with_gates,
};
use safetensors::Dtype;
use vbd_core::gate::Gate;
use vbd_core::layers::{LayerOptions, NoiseGate};
use vbd_core::ops::{convolution, forward};
use vbd_core::recipe::NetToml;
use vbd_core::train::Checkpoint;
use vbd_core::weight::{GateParameters, Parameter, Weight};
use vbd_net::graph::NodeId;
use vbd_net::spec::{LayerSpec, NetSpec};
use vbd_net::tensor_file::{self, RawTensor};
use vbd_net::{Error, Layout, Problem, PrunedFile, PrunedNet, ValueType};
use vbd_prune::{ModelFile, PruneOptions, Report, SparseNet, prune, prune_checkpoint};

/// Tolerance: theta is folded into the next weights, and sums have another order.
const TOLERANCE: f32 = 1e-5;

fn opened(checkpoint: Checkpoint) -> ModelFile {
    ModelFile::Checkpoint {
        path: "c".into(),
        checkpoint: Box::new(checkpoint),
        bytes: 1,
    }
}

/// The logits of the net with its gates, by Candle's operations and [`NoiseGate`] alone.
fn gated_logits(checkpoint: &Checkpoint, images: &[u8], n: usize) -> Vec<f32> {
    let (spec, device) = (&checkpoint.spec, &Device::Cpu);
    let mut x: Vec<f32> = vec![0.0; images.len()];
    let len = spec.input_len();
    for (x, image) in x.chunks_exact_mut(len).zip(images.chunks_exact(len)) {
        checkpoint.normalizer.apply(image, x);
    }
    let shape = [&[n], &spec.input[..]].concat();
    let x = Tensor::from_vec(x, shape, device).unwrap();
    let graph = spec.resolve().unwrap();
    let gates = Gate::all(spec, &checkpoint.recipe.method).unwrap();
    let gate = |id, x: Tensor| {
        let Some(number) = gates.iter().position(|gate| gate.node == id) else {
            return x;
        };
        let (gate, own) = (&gates[number], &checkpoint.parameters.gates[number]);
        let tensor = |values: &[f32]| Tensor::new(values, device).unwrap();
        let threshold = f64::from(gate.log_alpha_threshold().unwrap());
        let (theta, log_sigma2) = (
            tensor(&own.theta().value),
            tensor(&own.units.state("log_sigma2").unwrap().value),
        );
        let module = NoiseGate::new(
            theta,
            log_sigma2,
            LayerOptions {
                log_alpha_threshold: threshold,
                ..LayerOptions::named("gate")
            },
        )
        .unwrap();
        let is_flat = x.dim(1).unwrap() != gate.units;
        let x = if is_flat {
            x.flatten_from(1).unwrap()
        } else {
            x
        };
        module.forward(&x).unwrap()
    };
    let mut values = vec![gate(NodeId::INPUT, x)];
    for (id, node) in graph.nodes().skip(1) {
        let x = values[node.inputs[0].index()].clone();
        let parameters = || {
            let own = &checkpoint.parameters.layers[graph.weight_number(id).unwrap()];
            let theta = &own.weight.theta().value[..];
            let weight = Tensor::from_slice(theta, own.weight.shape(), device).unwrap();
            (weight, Tensor::new(&own.bias.value[..], device).unwrap())
        };
        let y = match graph.layer(id, spec).unwrap() {
            LayerSpec::Linear(_) => {
                let (weight, bias) = parameters();
                let x = x.flatten_from(1).unwrap();
                let y = x.matmul(&weight.t().unwrap()).unwrap();
                y.broadcast_add(&bias).unwrap()
            }
            LayerSpec::Conv2d(_) => {
                let (weight, bias) = parameters();
                let (window, own) = (node.window.unwrap(), graph.weight(id).unwrap());
                let y = convolution(&x, &weight, window, own.groups).unwrap();
                y.broadcast_add(&bias.reshape((1, (), 1, 1)).unwrap())
                    .unwrap()
            }
            LayerSpec::BatchNorm(norm) => {
                let mut all = checkpoint.parameters.norms.iter();
                let own = all.find(|own| own.name == norm.name).unwrap();
                let mut sides = vec![1; x.rank()];
                sides[1] = own.running_mean.len();
                let each = |values: &[f32]| Tensor::from_slice(values, &sides[..], device).unwrap();
                let spread = (each(&own.running_var) + norm.eps).unwrap().sqrt().unwrap();
                let x = x.broadcast_sub(&each(&own.running_mean)).unwrap();
                let x = x.broadcast_div(&spread).unwrap();
                let x = x.broadcast_mul(&each(&own.weight.value)).unwrap();
                x.broadcast_add(&each(&own.bias.value)).unwrap()
            }
            layer => {
                let inputs = node.inputs.iter();
                let inputs: Vec<Tensor> =
                    inputs.map(|input| values[input.index()].clone()).collect();
                forward(layer, node.window.as_ref(), &inputs).unwrap()
            }
        };
        values.push(gate(id, y));
    }
    values
        .pop()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < TOLERANCE * scale,
            "{what}: {found} {expected}"
        );
    }
}

fn structured(checkpoint: &Checkpoint, layout: Option<Layout>) -> PrunedFile {
    let options = PruneOptions {
        structured: true,
        layout,
        ..PruneOptions::default()
    };
    let file = prune(&opened(checkpoint.clone()), &options).unwrap();
    let read = PrunedFile::from_bytes(&file.to_bytes().unwrap(), Path::new("f")).unwrap();
    assert_eq!(read, file);
    assert_eq!(file.to_bytes().unwrap().len() as u64, file.bytes());
    file
}

#[test]
fn a_gated_net_folded_and_shrunk_keeps_its_logits() {
    for seed in 0..60 {
        let checkpoint = gated_checkpoint(seed);
        let samples = random_samples(&checkpoint.spec, 9, seed);
        let expected = gated_logits(&checkpoint, samples.inputs().bytes().unwrap(), 9);
        let whole = prune(&opened(checkpoint.clone()), &PruneOptions::default()).unwrap();
        for layout in [None, Some(Layout::Dense)] {
            let small = structured(&checkpoint, layout);
            for file in [&whole, &small] {
                let net = SparseNet::new(file.net()).unwrap();
                let found = net.outputs(samples.inputs().bytes().unwrap(), 9).unwrap();
                assert_close(&found, &expected, &format!("{seed}"));
            }
            // every unit that is left is needed, or the last of its layer
            for layer in small.net().layers() {
                let numel: usize = layer.shape.iter().product();
                assert_eq!(layer.weight.numel(), numel);
                let is_constant = layer.weight.nnz() == 0;
                assert!(
                    is_constant || layer.weight.nnz() == numel,
                    "{seed} {}",
                    layer.name
                );
            }
            assert_eq!(small.net().original(), &checkpoint.spec);
        }
    }
}

#[test]
fn a_net_with_sums_folded_scaled_and_shrunk_keeps_its_logits() {
    let mut scales = 0;
    for seed in 0..60 {
        let checkpoint = gated_residual_checkpoint(seed);
        let samples = random_samples(&checkpoint.spec, 9, seed);
        let expected = gated_logits(&checkpoint, samples.inputs().bytes().unwrap(), 9);
        let whole = prune(&opened(checkpoint.clone()), &PruneOptions::default()).unwrap();
        let small = structured(&checkpoint, None);
        for file in [&whole, &small] {
            let net = SparseNet::new(file.net()).unwrap();
            let found = net.outputs(samples.inputs().bytes().unwrap(), 9).unwrap();
            assert_close(&found, &expected, &format!("{seed}"));
            assert_eq!(file.version(), 2);
        }
        scales += whole.net().scales().len();
        assert_eq!(small.net().scales().len(), whole.net().scales().len());
        assert_eq!(small.net().original().layers, whole.net().spec().layers);
        assert_eq!(&small.net().shrunk().unwrap(), small.net(), "{seed}");
        let report = Report::of_file(&small).unwrap();
        let left = |file: &PrunedFile| {
            file.net()
                .layers()
                .iter()
                .map(|layer| layer.weight.numel())
                .sum::<usize>()
        };
        assert!(left(&small) <= left(&whole));
        assert!(report.structure.is_made);
    }
    assert!(scales > 30, "{scales}");
}

#[test]
fn gates_behind_batch_norms_and_groups_are_folded_with_them() {
    let windows: &[&str] = &[
        "input", "conv1", "depth1", "group1", "depth2", "flatten", "fc1",
    ];
    let residual: &[&str] = &["conv1", "conv2", "sum1", "conv4", "sum2", "conv6"];
    let nets = [
        (deployed::windows(), windows),
        (deployed::residual(), residual),
    ];
    let (mut folded, mut scales) = (0, 0);
    for (number, (seed, (spec, after))) in (0..40).zip(nets.iter().cycle()).enumerate() {
        let draws = &mut Draws(seed);
        let after: Vec<&str> = after
            .iter()
            .copied()
            .filter(|_| draws.below(3) > 0)
            .collect();
        let checkpoint = with_gates(checkpoint_of(spec.clone(), seed | 3), &after, seed);
        let samples = random_samples(spec, 9, seed);
        let pixels = samples.inputs().bytes().unwrap();
        let expected = gated_logits(&checkpoint, pixels, 9);
        let whole = prune(&opened(checkpoint.clone()), &PruneOptions::default()).unwrap();
        let small = structured(&checkpoint, None);
        for file in [&whole, &small] {
            let net = SparseNet::new(file.net()).unwrap();
            let found = net.outputs(pixels, 9).unwrap();
            assert_close(&found, &expected, &format!("{number} {after:?}"));
            assert_eq!(file.version(), 4);
        }
        let report = Report::of_file(&small).unwrap();
        folded += report
            .layers
            .iter()
            .map(|layer| layer.folded.len())
            .sum::<usize>();
        scales += small.net().scales().len();
        assert_eq!(small.net().original().layers, whole.net().spec().layers);
    }
    assert!(folded > 100 && scales > 20, "{folded} {scales}");
}

#[test]
fn gates_that_cannot_fold_scale_images_of_one_pixel_and_inputs_that_are_read_flat() {
    let head =
        "name = 'n'\ninput = [1, 8, 8]\nclasses = 4\nnormalize = { scale = 0.01, mean = 0.3 }\n";
    let one_pixel = "layer = [{ kind = 'conv2d', name = 'conv1', out_channels = 6, kernel = 8 }, \
        { kind = 'relu', name = 'r1' }, \
        { kind = 'conv2d', name = 'conv2', out_channels = 6, kernel = 3, padding = 1 }, \
        { kind = 'add', inputs = ['conv2', 'r1'] }, { kind = 'flatten' }, \
        { kind = 'linear', name = 'out', out_features = 4 }]";
    let flat = "layer = [{ kind = 'flatten', name = 'f' }, \
        { kind = 'linear', name = 'fc1', out_features = 64 }, { kind = 'add', inputs = ['fc1', 'f'] }, \
        { kind = 'linear', name = 'out', out_features = 4 }]";
    let relu = "layer = [{ kind = 'flatten' }, { kind = 'relu' }, { kind = 'linear', name = 'out', out_features = 4 }]";
    for (net, after) in [(one_pixel, "conv1"), (flat, "input"), (relu, "input")] {
        let spec = NetSpec::from_toml(&format!("{head}{net}"), "n").unwrap();
        for seed in 0..8 {
            let checkpoint = with_gates(checkpoint_of(spec.clone(), seed | 3), &[after], seed);
            let samples = random_samples(&spec, 9, seed);
            let expected = gated_logits(&checkpoint, samples.inputs().bytes().unwrap(), 9);
            let whole = prune_checkpoint(&checkpoint, None).unwrap();
            assert_eq!(whole.scales().len(), 1);
            for net in [whole.shrunk().unwrap(), whole] {
                for n in [1, 9] {
                    let images = &samples.inputs().bytes().unwrap()[..n * 64];
                    let found = SparseNet::new(&net).unwrap().outputs(images, n).unwrap();
                    assert_close(&found, &expected[..n * 4], &format!("{after} {seed}"));
                }
            }
        }
    }
}

#[test]
fn a_shrunk_sparse_net_keeps_its_logits_and_stays_shrunk() {
    let chains = (0..60).map(|seed| (seed, random_checkpoint(seed)));
    let sums = (60..100).map(|seed| (seed, residual_checkpoint(seed)));
    for (seed, checkpoint) in chains.chain(sums) {
        let whole = prune_checkpoint(&checkpoint, None).unwrap();
        let small = whole.shrunk().unwrap();
        let samples = random_samples(&checkpoint.spec, 9, seed);
        let logits = |net: &PrunedNet| {
            let net = SparseNet::new(net).unwrap();
            net.outputs(samples.inputs().bytes().unwrap(), 9).unwrap()
        };
        assert_close(&logits(&small), &logits(&whole), &format!("{seed}"));
        assert_eq!(small.shrunk().unwrap(), small);
        let file = PrunedFile::new(&small, None, ValueType::F32).unwrap();
        let read = PrunedFile::from_bytes(&file.to_bytes().unwrap(), Path::new("f")).unwrap();
        assert_close(
            &logits(read.net()),
            &logits(&whole),
            &format!("{seed} as a file"),
        );
        // Candle's dense operations support selections too
        let dense = SparseNet::new(read.net()).unwrap();
        let device = Device::Cpu;
        let x = Tensor::from_slice(
            samples.inputs().bytes().unwrap(),
            (9, checkpoint.spec.input_len()),
            &device,
        );
        let found: Vec<f32> = dense
            .forward(&x.unwrap())
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert_close(&found, &logits(&whole), &format!("{seed} as a module"));
    }
}

#[test]
fn a_net_that_does_not_start_with_its_weights_is_shrunk_too() {
    let pool = "[[layer]]\nkind = 'max_pool2d'\nkernel = 2\n";
    let relu = "[[layer]]\nkind = 'relu'\n";
    let flatten = "[[layer]]\nkind = 'flatten'\n";
    let starts = [
        format!("{pool}{flatten}"),
        pool.to_owned(),
        format!("{flatten}{relu}"),
        relu.to_owned(),
        format!("{flatten}{flatten}"),
    ];
    for (start, channels) in starts.iter().flat_map(|start| [(start, 1), (start, 3)]) {
        let text = format!(
            "name = 'n'\ninput = [{channels}, 6, 6]\nclasses = 4\n\
             normalize = {{ scale = 0.01, mean = 0.3, std = 0.7 }}\n{start}\
             [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 5\n{relu}\
             [[layer]]\nkind = 'linear'\nname = 'out'\nout_features = 4\n"
        );
        let spec = NetSpec::from_toml(&text, "n").unwrap();
        for seed in 0..12 {
            let checkpoint = checkpoint_of(spec.clone(), seed);
            let samples = random_samples(&spec, 9, seed);
            let whole = prune_checkpoint(&checkpoint, None).unwrap();
            let file = structured(&checkpoint, None);
            let [found, expected] = [file.net(), &whole].map(|net| {
                let net = SparseNet::new(net).unwrap();
                net.outputs(samples.inputs().bytes().unwrap(), 9).unwrap()
            });
            assert_close(&found, &expected, &format!("{start} {channels} {seed}"));
        }
    }
}

/// Sets every theta of a gate to 0.
fn silence(gate: &mut GateParameters) {
    let units = &gate.units;
    let theta = Parameter::new(vec![0.0; units.numel()]);
    gate.units = Weight::dense(units.shape(), theta, units.states().cloned().collect()).unwrap();
}

#[test]
fn units_without_consumers_leave_no_weights() {
    let mut checkpoint = gated_checkpoint(5);
    let last = checkpoint.parameters.gates.len() - 1;
    silence(&mut checkpoint.parameters.gates[last]);
    let small = structured(&checkpoint, None);
    let nnz = small.net().layers().iter().map(|layer| layer.weight.nnz());
    assert_eq!(nnz.sum::<usize>(), 0);
}

#[test]
fn an_impossible_original_network_is_refused() {
    let bytes = structured(&gated_checkpoint(1), None).to_bytes().unwrap();
    let (tensors, json) = tensor_file::from_bytes(&bytes).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let with = |change: fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        change(&mut json["before"]);
        let bytes = tensor_file::to_bytes(&tensors, json.to_string()).unwrap();
        PrunedFile::from_bytes(&bytes, Path::new("hostile"))
    };
    assert!(with(|_| ()).is_ok());
    let changes: [fn(&mut serde_json::Value); 5] = [
        |before| before["input"][1] = 99.into(),
        |before| before["classes"] = 3.into(),
        |before| before["layer"][0]["out_channels"] = 0.into(),
        |before| before["layer"][0]["name"] = "other".into(),
        |before| {
            let select = serde_json::json!({"kind": "select", "name": "s", "units": 1});
            before["layer"].as_array_mut().unwrap().insert(0, select);
        },
    ];
    for change in changes {
        let error = with(change).unwrap_err();
        assert!(matches!(error, Error::Before { .. }), "{error}");
        assert!(error.to_string().starts_with("hostile: metadata `before`"));
    }
}

#[test]
fn the_measured_error_is_kept_at_the_training_thresholds_only() {
    let checkpoint = opened(gated_checkpoint(4));
    let measured = |threshold| {
        let options = PruneOptions {
            threshold,
            ..PruneOptions::default()
        };
        let file = prune(&checkpoint, &options).unwrap();
        file.net().provenance().test_error.is_some()
    };
    // the gates' threshold is 1, the method's 3
    assert!(measured(None) && measured(Some(1.0)));
    assert!(!measured(Some(-9.0)) && !measured(Some(0.5)));
}

#[test]
fn a_net_that_lost_all_units_of_a_layer_is_one_of_constant_logits() {
    for seed in 0..20 {
        for lost in 0..2 {
            let mut checkpoint = gated_checkpoint(seed);
            silence(&mut checkpoint.parameters.gates[lost]);
            let samples = random_samples(&checkpoint.spec, 5, seed);
            let expected = gated_logits(&checkpoint, samples.inputs().bytes().unwrap(), 5);
            let net = structured(&checkpoint, None);
            let net = SparseNet::new(net.net()).unwrap();
            assert_close(
                &net.outputs(samples.inputs().bytes().unwrap(), 5).unwrap(),
                &expected,
                "constant",
            );
        }
    }
}

#[test]
fn a_threshold_applies_to_the_gates_and_not_above_theirs() {
    let mixed = |checkpoint: &Checkpoint| {
        let gates = Gate::all(&checkpoint.spec, &checkpoint.recipe.method).unwrap();
        let own = checkpoint.parameters.gates.iter().zip(&gates);
        let kept = own.map(|(own, gate)| {
            let kept = own.kept(gate).into_iter().filter(|&kept| kept).count();
            kept > 0 && kept < gate.units
        });
        let mut kept = kept;
        kept.all(|mixed| mixed)
    };
    let checkpoint = (0..100).step_by(2).map(gated_checkpoint).find(mixed);
    let checkpoint = opened(checkpoint.unwrap());
    let at = |threshold| {
        let options = PruneOptions {
            threshold: Some(threshold),
            ..PruneOptions::default()
        };
        prune(&checkpoint, &options)
    };
    assert!(matches!(
        at(1.5),
        Err(vbd_prune::Error::ThresholdAboveTraining { trained: 1.0, .. })
    ));
    let nnz =
        |file: PrunedFile| -> usize { file.net().layers().iter().map(|l| l.weight.nnz()).sum() };
    assert!(nnz(at(1.0).unwrap()) > 0);
    assert_eq!(nnz(at(-3.0).unwrap()), nnz_behind_all_gates(&checkpoint));
}

/// The weights that are left if every gate is shut: those without a gate before or after.
fn nnz_behind_all_gates(opened: &ModelFile) -> usize {
    let ModelFile::Checkpoint { checkpoint, .. } = opened else {
        unreachable!()
    };
    let gates = Gate::all(&checkpoint.spec, &checkpoint.recipe.method).unwrap();
    let touched = |layer: usize| {
        gates
            .iter()
            .any(|gate| gate.readers.iter().any(|reader| reader.weight == layer))
    };
    let layers = checkpoint.parameters.layers.iter().enumerate();
    layers
        .filter(|(index, _)| !touched(*index))
        .map(|(_, layer)| layer.weight.numel())
        .sum()
}

#[test]
fn an_invalid_index_is_refused() {
    let checkpoint = (0..100).map(gated_checkpoint).find(|checkpoint| {
        let net = structured(checkpoint, None);
        net.net()
            .selections()
            .iter()
            .any(|selection| selection.index.len() > 2)
    });
    let bytes = structured(&checkpoint.unwrap(), None).to_bytes().unwrap();
    let (tensors, json) = tensor_file::from_bytes(&bytes).unwrap();
    let (name, raw) = tensors
        .iter()
        .find(|(name, raw)| name.contains("_inputs") && raw.shape[0] > 2)
        .unwrap();
    let numbers: Vec<u32> = RawTensor {
        dtype: Dtype::U32,
        ..raw.clone()
    }
    .to_u32()
    .unwrap();
    let with = |change: &dyn Fn(&mut Vec<u32>)| {
        let (mut tensors, mut numbers) = (tensors.clone(), numbers.clone());
        change(&mut numbers);
        let raw = RawTensor {
            dtype: Dtype::I32,
            ..RawTensor::u32(&numbers)
        };
        tensors.insert(name.clone(), raw);
        let bytes = tensor_file::to_bytes(&tensors, json.clone()).unwrap();
        PrunedFile::from_bytes(&bytes, Path::new("hostile"))
    };
    assert!(with(&|_| ()).is_ok());
    let changes: [fn(&mut Vec<u32>); 4] = [
        |numbers| numbers[1] = numbers[0],
        |numbers| numbers.swap(0, 1),
        |numbers| *numbers.last_mut().unwrap() = 1 << 20,
        |numbers| numbers[0] = u32::MAX,
    ];
    for change in changes {
        let error = with(&change).unwrap_err();
        let Error::Content { problem, .. } = &error else {
            panic!("{error}")
        };
        assert!(matches!(**problem, Problem::Index { .. }), "{error}");
        assert!(error.to_string().contains(name.as_str()));
    }
    assert!(matches!(
        with(&|numbers| numbers.truncate(1)),
        Err(Error::Shape { .. })
    ));
}
