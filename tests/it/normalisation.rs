//! Normalisation by channel, from training to the sparse runtime.

use std::sync::atomic::AtomicBool;

use candle_core::Device;
use vbd_core::recipe::{NetToml, Recipe};
use vbd_core::train::{Compute, Event, Trainer};
use vbd_net::data::{Dataset, Samples};
use vbd_net::spec::{NetSpec, Normalizer};
use vbd_prune::{DenseNet, PruneOptions, SparseNet, open, prune};

use candle_core::{Module, Tensor};

const SHAPE: [usize; 3] = [3, 8, 8];
const CLASSES: u8 = 3;

/// A padded convolution, so that the border is 0 after the normalisation, not a black pixel.
const NET: &str = "
name = 'by-channel'
input = [3, 8, 8]
classes = 3
normalize = { scale = 0.00392156862745098, mean = [0.1, 0.6, -0.5], std = [0.2, 1.5, 0.6] }
[[layer]]
kind = 'conv2d'
name = 'conv1'
out_channels = 6
kernel = 3
padding = 1
[[layer]]
kind = 'relu'
[[layer]]
kind = 'max_pool2d'
kernel = 2
[[layer]]
kind = 'flatten'
[[layer]]
kind = 'linear'
name = 'fc1'
out_features = 16
[[layer]]
kind = 'relu'
[[layer]]
kind = 'linear'
name = 'fc2'
out_features = 3
";

const RECIPE: &str = "
summary = ''
[method]
kind = 'vbd'
GATE
[train]
epochs = 8
batch_size = 20
lr = 5e-3
kl_warmup = [0.1, 0.4]
";

/// Images in which one channel is bright, with many black pixels.
fn data() -> Dataset {
    let samples = |count: usize| {
        let mut state = 7_u32;
        let mut below = |most: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % most
        };
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for index in 0..count {
            let label = u8::try_from(index % usize::from(CLASSES)).unwrap();
            for channel in 0..3 {
                for _ in 0..64 {
                    let ink = if channel == label { 90 } else { 0 };
                    let pixel = if below(3) == 0 { 0 } else { ink + below(150) };
                    pixels.push(u8::try_from(pixel).unwrap());
                }
            }
            labels.push(label);
        }
        Samples::new(pixels, labels, 192).unwrap()
    };
    Dataset::new("bright", SHAPE, CLASSES.into(), samples(300), samples(90)).unwrap()
}

#[test]
fn training_evaluation_pruning_and_the_runtime_agree_by_channel() {
    let gate = "[[method.gate]]\nafter = 'conv1'";
    for (kind, gate, is_structured) in
        [("vbd", "", false), ("vbd", "", true), ("dense", gate, true)]
    {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetSpec::from_toml(NET, "net").unwrap();
        let recipe = RECIPE
            .replace("'vbd'", &format!("'{kind}'"))
            .replace("GATE", gate);
        let recipe = Recipe::from_toml(&recipe, "recipe").unwrap();
        let data = data();
        let run = folder.path().join("run");
        let mut trainer = Trainer::new(
            &spec,
            &recipe,
            data.clone(),
            &Compute::default(),
            &run,
            None,
        )
        .unwrap();
        let mut last = None;
        let mut on_event = |event: Event<'_>| {
            if let Event::Epoch(report) = event {
                last = Some((report.test_error.unwrap(), report.test_nll.unwrap()));
            }
        };
        let outcome = trainer.run(&AtomicBool::new(false), &mut on_event).unwrap();
        let (error, nll) = last.unwrap();
        assert!(error < 0.2, "{kind}: {error}");
        let options = PruneOptions {
            structured: is_structured,
            ..PruneOptions::default()
        };
        let path = folder.path().join("pruned.safetensors");
        prune(&open(&outcome.checkpoint).unwrap(), &options)
            .unwrap()
            .write(&path)
            .unwrap();
        let net = open(&path).unwrap().net().unwrap();
        let sparse = SparseNet::load(&path).unwrap();
        let evaluation = sparse.evaluate(&data.test).unwrap();
        assert_eq!(
            evaluation.test_error(),
            Some(error),
            "{kind} {is_structured}"
        );
        let found = evaluation.nll().unwrap();
        assert!(
            (found - nll).abs() < 1e-5 * nll.max(1e-2),
            "{kind}: {found} {nll}"
        );
        // One by one, in a batch, densely on Candle: the same outputs.
        let pixels = data.test.inputs().bytes().unwrap();
        let count = data.test.len();
        let x = Tensor::from_slice(pixels, (count, 3, 8, 8), &Device::Cpu).unwrap();
        let dense = DenseNet::new(&net, &Device::Cpu).unwrap();
        let dense = dense.forward(&x).unwrap().flatten_all().unwrap();
        let dense = dense.to_vec1::<f32>().unwrap();
        let batch = sparse.outputs(pixels, count).unwrap();
        for (index, image) in pixels.chunks_exact(192).enumerate() {
            let one = sparse.outputs(image, 1).unwrap();
            let rows = [&batch[3 * index..][..3], &dense[3 * index..][..3]];
            for (found, expected) in rows.into_iter().flat_map(|row| row.iter().zip(&one)) {
                let tolerance = 1e-4 * expected.abs().max(1.0);
                assert!(
                    (found - expected).abs() < tolerance,
                    "{kind}: {found} {expected}"
                );
            }
        }
        // The same values as f32 are the same inputs.
        let floats = data.test.inputs().to_f32();
        let of_floats = sparse.outputs(&floats, count).unwrap();
        for (found, expected) in of_floats.iter().zip(&batch) {
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0));
        }
    }
}

#[test]
fn each_channel_has_its_own_mean_and_deviation() {
    let spec = NetSpec::from_toml(NET, "net").unwrap();
    let normalizer = Normalizer::with_images(&spec, None, None).unwrap();
    let mut out = [0.0; 192];
    normalizer.apply(&[255_u8; 192], &mut out);
    for (plane, expected) in out.chunks_exact(64).zip([4.5, 0.4 / 1.5, 2.5]) {
        assert!(
            plane.iter().all(|value| (value - expected).abs() < 1e-5),
            "{plane:?}"
        );
    }
}
