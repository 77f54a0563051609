//! `[train.augment]`: which samples are changed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use support::{dataset, lenet5_like, mlp, recipe};
use vbd_core::Error;
use vbd_core::train::{Compute, Event, StepBench, Trainer};
use vbd_net::data::{Dataset, Inputs, Samples};
use vbd_net::spec::{Loss, NetSpec, Target};

/// A learning rate at which no weight changes.
const STILL: &str = "epochs = 2\nbatch_size = 16\nlr = 1e-30\nvalidation = 30";

fn data() -> Dataset {
    dataset([1, 10, 9], 4, 150, 40)
}

/// The training nll of each epoch, and everything that evaluation reports.
fn results(spec: &NetSpec, data: Dataset, tables: &str, folder: &Path) -> Vec<[Option<f64>; 5]> {
    let recipe = recipe("dense", &format!("{STILL}\n{tables}"));
    let folder = folder.join(tables.replace(['\n', '[', ']', ' '], "_"));
    let compute = Compute::default();
    let mut trainer = Trainer::new(spec, &recipe, data, &compute, &folder, None).unwrap();
    let mut results = Vec::new();
    let mut on_event = |event: Event<'_>| {
        if let Event::Epoch(report) = event {
            results.push([
                Some(report.nll),
                report.test_nll,
                report.validation_error,
                report.test_loss,
                report.validation_loss,
            ]);
        }
    };
    trainer.run(&AtomicBool::new(false), &mut on_event).unwrap();
    results
}

#[test]
fn training_samples_are_changed_anew_in_each_epoch_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let spec = lenet5_like(4);
    let plain = results(&spec, data(), "", folder.path());
    assert!(plain[0][1].is_some() && plain[0][2].is_some(), "{plain:?}");
    // Without a change, each epoch has the same samples; only the order of their sum differs.
    let nll = |results: &[[Option<f64>; 5]], epoch: usize| results[epoch][0].unwrap();
    assert!((nll(&plain, 0) - nll(&plain, 1)).abs() < 1e-5);
    for tables in ["[train.augment]\ncrop = 2", "[train.augment]\nflip = true"] {
        let changed = results(&spec, data(), tables, folder.path());
        assert!((nll(&changed, 0) - nll(&plain, 0)).abs() > 1e-4, "{tables}");
        assert!(
            (nll(&changed, 0) - nll(&changed, 1)).abs() > 1e-4,
            "{tables}"
        );
        for (changed, plain) in changed.iter().zip(&plain) {
            assert_eq!(changed[1..], plain[1..], "{tables}");
        }
    }
}

#[test]
fn padding_as_large_as_an_image_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let spec = lenet5_like(4);
    let run = folder.path().join("run");
    let recipe = recipe("dense", "[train.augment]\ncrop = 9");
    let begun = Trainer::new(&spec, &recipe, data(), &Compute::default(), &run, None);
    let error = begun.err().unwrap();
    assert!(matches!(error, Error::Recipe { .. }), "{error}");
    assert!(!run.exists());
    let timed = StepBench::default().run(&spec, &recipe, &data(), None);
    assert!(matches!(timed, Err(Error::Recipe { .. })));
}

#[test]
fn mirroring_symmetric_images_of_floats_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let set = data();
    let symmetric = |samples: &Samples| {
        let mut values = samples.inputs().to_f32();
        for row in values.chunks_exact_mut(9) {
            let (left, right) = row.split_at_mut(4);
            for (left, right) in left.iter().zip(right.iter_mut().rev()) {
                *right = *left;
            }
        }
        let labels = samples.labels().unwrap().to_vec();
        Samples::new(Inputs::F32(values), labels, 90).unwrap()
    };
    let (train, test) = (symmetric(&set.train), symmetric(&set.test));
    let set = || Dataset::new("symmetric", [1, 10, 9], 4, train.clone(), test.clone()).unwrap();
    let spec = lenet5_like(4);
    let plain = results(&spec, set(), "", folder.path());
    let flipped = results(&spec, set(), "[train.augment]\nflip = true", folder.path());
    assert_eq!(plain, flipped);
    let cropped = results(&spec, set(), "[train.augment]\ncrop = 1", folder.path());
    assert_ne!(plain, cropped);
}

#[test]
fn the_target_of_an_autoencoder_is_its_changed_input() {
    let folder = tempfile::tempdir().unwrap();
    // Without weights that act, the loss is half the squared norm of the target, so that rows that
    // are cropped away lower it.
    let mut spec = mlp(&[1, 10, 9], &[90]);
    spec.classes = None;
    spec.loss = Loss::Mse;
    spec.target = Some(Target::Input);
    spec.normalize = vbd_net::spec::Normalize {
        scale: 1.0 / 256.0,
        ..Default::default()
    };
    let still = "theta_init = 'normal(1e-9)'";
    let run = |tables: &str| {
        let text =
            format!("summary = ''\n[method]\nkind = 'dense'\n{still}\n[train]\n{STILL}\n{tables}");
        let recipe = vbd_core::recipe::Recipe::from_toml(&text, "r").unwrap();
        let mut nll = 0.0;
        let path = folder.path().join(format!("run{}", tables.len()));
        let compute = Compute::default();
        let mut trainer = Trainer::new(&spec, &recipe, data(), &compute, &path, None).unwrap();
        let mut on_event = |event: Event<'_>| {
            if let Event::Epoch(report) = event {
                nll = report.nll;
            }
        };
        trainer.run(&AtomicBool::new(false), &mut on_event).unwrap();
        nll
    };
    let (plain, cropped) = (run(""), run("[train.augment]\ncrop = 8"));
    assert!(cropped < 0.5 * plain, "{cropped} {plain}");
}
