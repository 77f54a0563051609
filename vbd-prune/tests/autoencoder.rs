//! Autoencoders, as files and in every runtime.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod common;

use std::path::Path;
use std::time::Duration;

use candle_core::{Device, Module, Tensor};
use common::{checkpoint_of, random_samples};
use vbd_core::recipe::NetToml;
use vbd_net::data::Samples;
use vbd_net::output::mse;
use vbd_net::spec::{Loss, NetSpec, Statistic};
use vbd_net::tensor_file;
use vbd_net::{PrunedFile, PrunedNet, ValueType};
use vbd_prune::bench::{BenchOptions, bench};
use vbd_prune::{DenseNet, Prediction, Report, SparseNet, prune_checkpoint};

const LAYERS: [&str; 4] = [
    "{ kind = 'linear', name = 'enc', out_features = 9 }, { kind = 'relu' },
     { kind = 'linear', name = 'dec', out_features = 30 }",
    // the output is an image
    "{ kind = 'conv2d', name = 'enc', out_channels = 5, kernel = 3, padding = 1 }, { kind = 'relu' },
     { kind = 'conv2d', name = 'dec', out_channels = 1, kernel = 3, padding = 1 }",
    "{ kind = 'conv2d', name = 'enc', out_channels = 3, kernel = 3, padding = 1 },
     { kind = 'max_pool2d', kernel = 2 }, { kind = 'flatten' }, { kind = 'relu' },
     { kind = 'linear', name = 'dec', out_features = 30 }",
    "{ kind = 'conv2d', name = 'enc', out_channels = 1, kernel = 3, padding = 1 },
     { kind = 'relu', name = 'r' },
     { kind = 'conv2d', name = 'dec', out_channels = 1, kernel = 1 },
     { kind = 'add', inputs = ['dec', 'r'] }",
];

fn spec(case: usize) -> NetSpec {
    let text = format!(
        "name = 'auto'\ninput = [1, 6, 5]\nloss = 'mse'\ntarget = 'input'\n\
         normalize = {{ scale = 0.01, mean = 'image', std = 0.5 }}\nlayer = [{}]",
        LAYERS[case % LAYERS.len()]
    );
    NetSpec::from_toml(&text, "auto").unwrap()
}

/// Random nets of random sparsity.
fn nets() -> impl Iterator<Item = (PrunedNet, Samples)> {
    (0..40).map(|seed| {
        let spec = spec(seed as usize);
        let samples = random_samples_of(&spec, 11, seed);
        let checkpoint = checkpoint_of(spec, seed);
        (prune_checkpoint(&checkpoint, None).unwrap(), samples)
    })
}

/// Without labels, and every other time as f32.
fn random_samples_of(spec: &NetSpec, n: usize, seed: u64) -> Samples {
    let bytes = random_samples(spec, n, seed);
    let bytes = bytes.inputs().bytes().unwrap();
    if seed.is_multiple_of(2) {
        let values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) - 99.5).collect();
        Samples::unlabelled(values, 30).unwrap()
    } else {
        Samples::unlabelled(bytes.to_vec(), 30).unwrap()
    }
}

fn dense_outputs(net: &PrunedNet, samples: &Samples) -> Vec<f32> {
    let values = samples.inputs().to_f32();
    let x = Tensor::from_vec(values, (samples.len(), 30), &Device::Cpu).unwrap();
    let outputs = DenseNet::new(net, &Device::Cpu)
        .unwrap()
        .forward(&x)
        .unwrap();
    assert_eq!(outputs.dims(), [samples.len(), 30]);
    outputs.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-4 * scale,
            "{found} {expected}"
        );
    }
}

#[test]
fn masked_pruned_and_shrunk_nets_give_the_values_of_the_dense_one() {
    for (net, samples) in nets() {
        let expected = dense_outputs(&net, &samples);
        let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
        let bytes = file.to_bytes().unwrap();
        let read = PrunedFile::from_bytes(&bytes, Path::new("f")).unwrap();
        assert_eq!(read, file);
        let small = PrunedFile::new(&net.shrunk().unwrap(), None, ValueType::F32).unwrap();
        for net in [&net, read.net(), small.net()] {
            let sparse = SparseNet::new(net).unwrap();
            assert_close(
                &sparse.outputs(samples.inputs(), samples.len()).unwrap(),
                &expected,
            );
            // The prediction of one sample.
            let Prediction::Values { outputs, loss } = sparse.predict(samples.input(3)).unwrap()
            else {
                panic!("a net without classes")
            };
            assert_close(&outputs, &expected[90..120]);
            let targets = net.normalize(samples.input(3));
            let error = mse::squared_error(&outputs, &targets) / 30.0;
            assert!((loss - error).abs() < 1e-12 * error);
        }
    }
}

#[test]
fn an_evaluation_is_the_mean_squared_error_of_the_normalised_input() {
    for (net, samples) in nets() {
        let outputs = dense_outputs(&net, &samples);
        let pixels = samples.inputs().to_f32();
        let mean = net.mean_values();
        let errors = outputs
            .iter()
            .zip(&pixels)
            .enumerate()
            .map(|(place, (y, pixel))| {
                let x = (f64::from(*pixel) * 0.01 - f64::from(mean.at(place % 30))) / 0.5;
                (f64::from(*y) - x).powi(2)
            });
        let expected = errors.sum::<f64>() / outputs.len() as f64;
        let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
        for net in [&net, file.net()] {
            let found = SparseNet::new(net).unwrap().evaluate(&samples).unwrap();
            assert_eq!((found.samples(), found.wrong()), (11, None));
            let found = found.test_loss().unwrap();
            assert!(
                (found - expected).abs() < 1e-4 * expected,
                "{found} {expected}"
            );
        }
    }
}

#[test]
fn a_file_is_of_version_3_and_keeps_the_mean_that_its_target_needs() {
    let net = nets().next().unwrap().0;
    let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
    assert_eq!(file.version(), 3);
    assert!(
        file.net().spec().normalize.mean == Statistic::Measured(vbd_net::spec::Measurement::Image)
    );
    let (tensors, json) = tensor_file::from_bytes(&file.to_bytes().unwrap()).unwrap();
    assert!(tensors.contains_key("normalize.mean"));
    assert!(
        json.starts_with(r#"{"version":3,"kind":"pruned","#),
        "{json}"
    );
    assert!(json.contains(r#""loss":"mse","target":"input""#), "{json}");
    assert!(!json.contains("classes"), "{json}");
    let report = Report::of_file(&file).unwrap();
    assert_eq!((report.version, report.loss), (3, Loss::Mse));
}

#[test]
fn a_shrunk_net_of_another_loss_is_refused() {
    let net = nets().next().unwrap().0.shrunk().unwrap();
    let file = PrunedFile::new(&net, None, ValueType::F32).unwrap();
    let (tensors, json) = tensor_file::from_bytes(&file.to_bytes().unwrap()).unwrap();
    let (spec, before) = json.split_once(r#""before""#).unwrap();
    let before = before.replacen(r#""loss":"mse","target":"input""#, r#""classes":30"#, 1);
    let json = format!("{spec}\"before\"{before}");
    let bytes = tensor_file::to_bytes(&tensors, json).unwrap();
    let error = PrunedFile::from_bytes(&bytes, Path::new("f")).unwrap_err();
    assert!(error.to_string().contains("loss differ"), "{error}");
}

#[test]
fn bench_times_every_engine_on_images_of_either_type() {
    for (net, samples) in nets().take(4) {
        let options = BenchOptions {
            time: Duration::from_nanos(1),
            turns: 1,
        };
        let rows = bench(&net, &[1, 5], Some(samples.inputs()), options).unwrap();
        assert_eq!(rows.len(), 6);
    }
}
