//! Pruning checkpoints and files, and the reports on them.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, compare exactly, and draw small numbers"
)]

mod common;

use common::{random_checkpoint, random_samples};
use vbd_core::method::vbd;
use vbd_core::train::Checkpoint;
use vbd_net::spec::Statistic;
use vbd_net::{Layout, PrunedFile, ValueType};
use vbd_prune::{Error, ModelFile, Prediction, PruneOptions, Report, SparseNet, open, prune};

fn opened(checkpoint: Checkpoint) -> ModelFile {
    ModelFile::Checkpoint {
        path: "c".into(),
        checkpoint: Box::new(checkpoint),
        bytes: 1,
    }
}

#[test]
fn thresholds_that_cannot_be_applied_are_errors() {
    let threshold = |from: &ModelFile, threshold| {
        prune(
            from,
            &PruneOptions {
                threshold: Some(threshold),
                ..PruneOptions::default()
            },
        )
    };
    let variational = opened(random_checkpoint(0));
    assert!(threshold(&variational, 3.0).is_ok());
    assert!(threshold(&variational, -1.0).is_ok());
    assert!(matches!(
        threshold(&variational, 3.1),
        Err(Error::ThresholdAboveTraining { .. })
    ));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(matches!(
            threshold(&variational, bad),
            Err(Error::ThresholdNotFinite { .. })
        ));
    }
    let dense = opened(random_checkpoint(3));
    assert!(matches!(
        threshold(&dense, 1.0),
        Err(Error::ThresholdWithoutPosterior { .. })
    ));
    let file = prune(&dense, &PruneOptions::default()).unwrap();
    assert_eq!(file.net().threshold(), None);
    let pruned = ModelFile::Pruned {
        path: "p".into(),
        file: Box::new(file),
    };
    assert!(matches!(
        threshold(&pruned, 1.0),
        Err(Error::ThresholdWithoutPosterior { .. })
    ));
}

#[test]
fn a_lower_threshold_keeps_fewer_and_drops_the_measured_error() {
    // Its weights are dense: all kept, at log_alpha -20 - 2 ln|theta|.
    let checkpoint = (0..).step_by(4).map(random_checkpoint).find(|checkpoint| {
        checkpoint
            .parameters
            .layers
            .iter()
            .all(|layer| layer.weight.nnz(&*vbd(3.0)) == layer.weight.numel())
    });
    let checkpoint = checkpoint.unwrap();
    let kept = |threshold| {
        let options = PruneOptions {
            threshold,
            ..PruneOptions::default()
        };
        prune(&opened(checkpoint.clone()), &options).unwrap()
    };
    let nnz = |file: &PrunedFile| Report::of_file(file).unwrap().nnz;
    for threshold in [3.0, -15.0, -19.0, -25.0] {
        let expected: usize = checkpoint
            .parameters
            .layers
            .iter()
            .map(|layer| layer.weight.nnz(&*vbd(threshold)))
            .sum();
        let file = kept(Some(threshold));
        assert_eq!(nnz(&file), expected);
        assert_eq!(file.net().threshold(), Some(threshold));
        let measured = file.net().provenance().test_error;
        assert_eq!(measured, (threshold == 3.0).then_some(0.0175));
    }
    assert_eq!(nnz(&kept(None)), nnz(&kept(Some(3.0))));
    assert!(nnz(&kept(Some(-25.0))) < nnz(&kept(None)));
}

#[test]
fn a_pruned_file_takes_another_layout_and_type() {
    for seed in 0..20 {
        let file = prune(&opened(random_checkpoint(seed)), &PruneOptions::default()).unwrap();
        let pruned = ModelFile::Pruned {
            path: "p".into(),
            file: Box::new(file.clone()),
        };
        let again = |layout, values| {
            prune(
                &pruned,
                &PruneOptions {
                    structured: false,
                    threshold: None,
                    layout,
                    values,
                },
            )
            .unwrap()
        };
        assert_eq!(again(None, None), file);
        for layout in Layout::ALL {
            assert_eq!(again(Some(layout), None).net(), file.net());
            assert_eq!(
                again(Some(layout), Some(ValueType::Bf16)).values(),
                ValueType::Bf16
            );
        }
    }
}

#[test]
fn the_mean_is_folded_where_the_net_starts_linear_and_logits_stay() {
    /// The bias takes one rounding, sums another order.
    const TOLERANCE: f32 = 1e-5;
    for seed in 0..40 {
        let checkpoint = random_checkpoint(seed);
        let file = prune(&opened(checkpoint.clone()), &PruneOptions::default()).unwrap();
        let mean = &file.net().spec().normalize.mean;
        if seed % 2 == 0 {
            assert_eq!(*mean, Statistic::Number(0.0));
        } else {
            assert_eq!(*mean, checkpoint.spec.normalize.mean);
        }
        let samples = random_samples(&checkpoint.spec, 20, seed);
        let unfolded = SparseNet::from_checkpoint(&checkpoint, None).unwrap();
        let folded = SparseNet::new(file.net()).unwrap();
        let logits = |net: &SparseNet| {
            net.outputs(samples.inputs().bytes().unwrap(), samples.len())
                .unwrap()
        };
        let (a, b) = (logits(&unfolded), logits(&folded));
        let scale = a.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() < TOLERANCE * scale, "{seed}: {a} {b}");
        }
        let (a, b) = (
            unfolded.evaluate(&samples).unwrap(),
            folded.evaluate(&samples).unwrap(),
        );
        assert_eq!((a.samples(), b.samples()), (20, 20));
        let (a, b) = (a.nll().unwrap(), b.nll().unwrap());
        assert!((a - b).abs() < 1e-4 * (1.0 + a), "{a:?} {b:?}");
    }
}

#[test]
fn reports_count_what_is_there() {
    for seed in 0..30 {
        let checkpoint = random_checkpoint(seed);
        let file = prune(&opened(checkpoint.clone()), &PruneOptions::default()).unwrap();
        let report = Report::of_file(&file).unwrap();
        let of_checkpoint = Report::of_checkpoint(&checkpoint, 99).unwrap();
        assert_eq!(
            (report.nnz, report.numel),
            (of_checkpoint.nnz, of_checkpoint.numel)
        );
        assert_eq!(report.bytes, file.to_bytes().unwrap().len() as u64);
        let dense = PrunedFile::new(file.net(), Some(Layout::Dense), ValueType::F32).unwrap();
        assert_eq!(report.dense_bytes, dense.bytes());
        let settings = checkpoint
            .recipe
            .method
            .of_weights(&checkpoint.spec)
            .unwrap();
        for (layer, parameters) in report.layers.iter().zip(&checkpoint.parameters.layers) {
            let theta = parameters.weight.theta_pruned(&*settings[0].method);
            let shape = &layer.shape;
            assert_eq!(shape, parameters.weight.shape());
            let (outputs, inputs) = (shape[0], shape[1]);
            let area = theta.len() / outputs / inputs;
            let kept = |out: usize, input: usize| {
                theta[(out * inputs + input) * area..][..area]
                    .iter()
                    .any(|&x| x != 0.0)
            };
            let live_inputs = (0..inputs)
                .filter(|&i| (0..outputs).any(|o| kept(o, i)))
                .count();
            let live_outputs = (0..outputs)
                .filter(|&o| (0..inputs).any(|i| kept(o, i)))
                .count();
            assert_eq!(
                (layer.live_inputs, layer.live_outputs),
                (live_inputs, live_outputs)
            );
            assert_eq!(layer.nnz, theta.iter().filter(|&&x| x != 0.0).count());
            assert!((layer.sparsity - (1.0 - layer.nnz as f64 / layer.numel as f64)).abs() < 1e-12);
        }
        let variational = seed % 4 != 3;
        assert_eq!(of_checkpoint.log_alpha.is_some(), variational);
        if let Some(histogram) = of_checkpoint.log_alpha {
            let all = histogram.counts.iter().sum::<u64>() + histogram.dead;
            assert_eq!(all, report.numel as u64);
        }
    }
}

#[test]
fn a_report_has_the_fields_that_scripts_rely_on() {
    let file = prune(&opened(random_checkpoint(0)), &PruneOptions::default()).unwrap();
    let json = serde_json::to_value(Report::of_file(&file).unwrap()).unwrap();
    for field in [
        "format",
        "version",
        "model",
        "bytes",
        "dense_bytes",
        "size_ratio",
        "numel",
        "nnz",
        "sparsity",
        "compression_ratio",
        "layers",
        "provenance",
    ] {
        assert!(json.get(field).is_some(), "{field}");
    }
    assert_eq!(json["format"], "pruned");
    for field in [
        "name",
        "kind",
        "shape",
        "numel",
        "nnz",
        "sparsity",
        "layout",
        "bytes",
        "live_inputs",
        "live_outputs",
    ] {
        assert!(json["layers"][0].get(field).is_some(), "{field}");
    }
    assert_eq!(json["provenance"]["data"], "digits");
    let mut empty = random_checkpoint(0);
    for layer in &mut empty.parameters.layers {
        layer.weight.kill(&*vbd(-100.0));
    }
    let file = prune(&opened(empty), &PruneOptions::default()).unwrap();
    let json = serde_json::to_value(Report::of_file(&file).unwrap()).unwrap();
    assert!(json["compression_ratio"].is_null());
    assert_eq!(json["sparsity"], 1.0);
    assert_eq!(json["layers"][0]["live_outputs"], 0);
}

#[test]
fn checkpoints_and_pruned_files_are_opened_by_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (checkpoint_path, pruned_path) = (folder.path().join("c"), folder.path().join("p"));
    for seed in 0..8 {
        let checkpoint = random_checkpoint(seed);
        checkpoint.write(&checkpoint_path).unwrap();
        let opened = open(&checkpoint_path).unwrap();
        let file = prune(&opened, &PruneOptions::default()).unwrap();
        file.write(&pruned_path).unwrap();
        let report = Report::new(&opened).unwrap();
        assert_eq!(
            report.bytes,
            std::fs::metadata(&checkpoint_path).unwrap().len()
        );
        assert_eq!(report.format, "checkpoint");
        let ModelFile::Pruned { file: back, path } = open(&pruned_path).unwrap() else {
            panic!()
        };
        assert_eq!((*back, path), (file, pruned_path.clone()));

        let samples = random_samples(&checkpoint.spec, 50, seed);
        let net = SparseNet::load(&pruned_path).unwrap();
        let evaluation = net.evaluate(&samples).unwrap();
        let expected = SparseNet::load(&checkpoint_path)
            .unwrap()
            .evaluate(&samples)
            .unwrap();
        assert_eq!(evaluation.samples(), 50);
        assert_eq!(evaluation.wrong(), expected.wrong());
        let Prediction::Classes(probabilities) = net.predict(samples.input(0)).unwrap() else {
            panic!("a net with classes")
        };
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(matches!(
            net.predict(&[0_u8][..]),
            Err(Error::Net(vbd_net::Error::Input { .. }))
        ));
    }
    assert!(matches!(
        open(folder.path().join("absent")),
        Err(Error::Net(_))
    ));
    assert!(matches!(
        open(folder.path()),
        Err(Error::Core(vbd_core::Error::NoCheckpoint { .. }))
    ));
    let mut bytes = std::fs::read(&pruned_path).unwrap();
    bytes.pop();
    vbd_net::file::write_atomic(&pruned_path, &bytes).unwrap();
    assert!(matches!(
        open(&pruned_path),
        Err(Error::Net(vbd_net::Error::TensorFile { .. }))
    ));
}

#[test]
fn opening_a_run_directory_opens_its_last_readable_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = vbd_core::train::RunFolder::create(&folder.path().join("run")).unwrap();
    let mut checkpoint = random_checkpoint(1);
    for epoch in [1, 2] {
        checkpoint.progress.epoch = epoch;
        run.write_checkpoint(&checkpoint).unwrap();
    }
    let opened = |epoch: usize| {
        let ModelFile::Checkpoint {
            checkpoint,
            path,
            bytes,
        } = open(run.path()).unwrap()
        else {
            panic!()
        };
        assert_eq!(checkpoint.progress.epoch, epoch);
        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        path
    };
    let last = opened(2);
    vbd_net::file::write_atomic(&last, b"half").unwrap();
    opened(1);
    SparseNet::load(run.path()).unwrap();
}

#[test]
fn parameters_of_nan_are_not_pruned() {
    let mut checkpoint = random_checkpoint(0);
    checkpoint.parameters.layers[0].bias.value[0] = f32::NAN;
    let error = prune(&opened(checkpoint), &PruneOptions::default()).unwrap_err();
    assert!(error.to_string().contains(".bias"), "{error}");
}
