//! Runs on disk: resuming, damage, divergence, the choice of the best epoch.
#![expect(
    clippy::unwrap_used,
    reason = "tests: helpers may panic, bits are compared, numbers are small"
)]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{dataset, mlp, recipe};
use vbd_core::Error;
use vbd_core::posterior;
use vbd_core::recipe::NetToml;
use vbd_core::recipe::Recipe;
use vbd_core::train::{Checkpoint, Compute, Event, Outcome, RunFolder, Trainer};
use vbd_core::weight::Weight;
use vbd_net::data::Dataset;
use vbd_net::spec::NetSpec;
use vbd_net::tensor_file;

const SCHEDULE: &str = "epochs = 6\nbatch_size = 16\nkl_warmup = [0.1, 0.4]\nlr = 5e-3";

fn data() -> Dataset {
    dataset([1, 6, 5], 4, 150, 40)
}

fn spec() -> NetSpec {
    mlp(&[1, 6, 5], &[24, 12, 4])
}

/// A convolution, a pool and a linear layer.
fn convolution() -> NetSpec {
    let text = "
        name = 'convolution'
        input = [1, 6, 5]
        classes = 4
        normalize = { scale = 0.00390625, mean = 'image' }
        [[layer]]
        kind = 'conv2d'
        name = 'conv1'
        out_channels = 9
        kernel = 3
        [[layer]]
        kind = 'relu'
        [[layer]]
        kind = 'max_pool2d'
        kernel = 2
        [[layer]]
        kind = 'linear'
        name = 'fc1'
        out_features = 4
    ";
    NetSpec::from_toml(text, "convolution").unwrap()
}

fn compute(threads: usize) -> Compute {
    Compute {
        threads,
        ..Compute::default()
    }
}

fn start(recipe: &Recipe, folder: &Path, threads: usize) -> Trainer {
    start_net(&spec(), recipe, folder, threads)
}

fn start_net(spec: &NetSpec, recipe: &Recipe, folder: &Path, threads: usize) -> Trainer {
    Trainer::new(spec, recipe, data(), &compute(threads), folder, None).unwrap()
}

fn run(trainer: &mut Trainer) -> Outcome {
    trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap()
}

/// The run of a folder, from where it stopped.
fn resume(folder: &Path, data: Dataset, threads: usize) -> vbd_core::Result<Trainer> {
    let folder = RunFolder::open(folder)?.lock()?;
    let last = folder.last_checkpoint()?;
    Trainer::resume(folder, last, data, &compute(threads))
}

/// Runs until the step with this number is done.
fn run_to(trainer: &mut Trainer, (stop_epoch, stop_step): (usize, usize)) -> Outcome {
    let stop = AtomicBool::new(false);
    let mut on_event = |event: Event<'_>| {
        if matches!(event, Event::Step { epoch, step, .. } if (epoch, step) == (stop_epoch, stop_step))
        {
            stop.store(true, Ordering::Relaxed);
        }
    };
    trainer.run(&stop, &mut on_event).unwrap()
}

/// Results of a run, except times.
fn result(outcome: &Outcome) -> (Checkpoint, Vec<serde_json::Value>) {
    let mut checkpoint = Checkpoint::read(&outcome.checkpoint).unwrap();
    checkpoint.progress.seconds_before = 0.0;
    let metrics = std::fs::read_to_string(outcome.run.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        for field in ["train_seconds", "seconds", "eta_seconds"] {
            line[field] = serde_json::Value::Null;
        }
        line
    });
    (checkpoint, lines.collect())
}

#[test]
fn a_stopped_run_resumes_bit_for_bit_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let nets = [spec(), convolution()];
    let kinds = ["vbd", "vd", "dense", "gates", "mixed", "noise", "augment"].into_iter();
    for (kind, net) in kinds.flat_map(|kind| nets.iter().map(move |net| (kind, net))) {
        let last = net.weights().unwrap().pop().unwrap().layer;
        let (method, tables) = match kind {
            "gates" => (
                "dense",
                "[[method.gate]]\nafter = 'input'\nkl_weight = 5.0\n".to_owned(),
            ),
            "mixed" => (
                "vbd",
                format!("[[method.rule]]\nweights = ['{last}']\nkind = 'dense'\n"),
            ),
            "augment" => (
                "vbd",
                "[train.augment]\ncrop = 2\nflip = true\n".to_owned(),
            ),
            "noise" => (
                "dense",
                "optimizer = 'sgd'\n[[method.gate]]\nafter = 'input'\nkind = 'bernoulli'\nrate = 0.1\n"
                    .to_owned(),
            ),
            _ => (kind, String::new()),
        };
        let recipe = recipe(method, &format!("{SCHEDULE}\n{tables}"));
        let path = |number: &str| folder.path().join(format!("{kind}-{}-{number}", net.name));
        let whole = run(&mut start_net(net, &recipe, &path("whole"), 1));
        assert!(!whole.interrupted);
        for (epoch, step) in [(1, 3), (3, 10), (4, 1), (6, 9)] {
            let path = path(&format!("{epoch}"));
            let stopped = run_to(&mut start_net(net, &recipe, &path, 2), (epoch, step));
            assert!(stopped.interrupted);
            let outcome = run(&mut resume(&path, data(), 2).unwrap());
            assert_eq!(result(&outcome), result(&whole), "{kind} {epoch} {step}");
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_previous_one_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("vbd", SCHEDULE);
    let whole = run(&mut start(&recipe, &folder.path().join("whole"), 1));
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        Vec::clear,
    ];
    for (number, damage) in damages.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        let stopped = run_to(&mut start(&recipe, &path, 1), (4, 5));
        let mut bytes = std::fs::read(&stopped.checkpoint).unwrap();
        damage(&mut bytes);
        vbd_net::file::write_atomic(&stopped.checkpoint, &bytes).unwrap();
        let run_folder = RunFolder::open(&path).unwrap();
        let last = run_folder.last_checkpoint().unwrap();
        assert_eq!(last.checkpoint.progress.epoch, 3);
        assert_eq!(last.damaged.len(), 1);
        assert_eq!(last.damaged[0].0, stopped.checkpoint);
        let outcome = run(&mut resume(&path, data(), 1).unwrap());
        assert_eq!(result(&outcome), result(&whole));
        // It is set aside as it was, and the run has written another of its name.
        let aside = format!("{}.damaged", stopped.checkpoint.display());
        assert_eq!(std::fs::read(aside).unwrap(), bytes);
    }
}

/// A run that was stopped in its fourth epoch.
fn stopped(folder: &Path) -> Outcome {
    run_to(&mut start(&recipe("vbd", SCHEDULE), folder, 1), (4, 5))
}

/// All files of a run with their bytes.
fn files(run: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let checkpoints = RunFolder::open(run).unwrap().checkpoints().unwrap();
    let paths = checkpoints.into_iter().map(|(_, path)| path);
    paths
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_checkpoint_of_a_newer_version_stops_a_resume_and_stays_whatever_its_checksum_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let stopped = stopped(&path);
    let bytes = std::fs::read(&stopped.checkpoint).unwrap();
    let (tensors, json) = tensor_file::from_bytes(&bytes).unwrap();
    let json = json.replacen("\"version\":3", "\"version\":99,\"new\":[1]", 1);
    let newer = tensor_file::to_bytes(&tensors, json).unwrap();
    vbd_net::file::write_atomic(&stopped.checkpoint, &newer).unwrap();
    let before = files(&path);
    let error = resume(&path, data(), 1).err().unwrap();
    assert!(
        matches!(
            error,
            Error::CheckpointVersion {
                found: 99,
                expected: 3,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(files(&path), before);
}

#[test]
fn a_checkpoint_that_cannot_be_opened_stops_a_resume_and_nothing_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    stopped(&path);
    let unreadable = path.join("checkpoints/epoch-0005.safetensors");
    std::fs::create_dir(&unreadable).unwrap();
    let before = files(&path);
    let error = resume(&path, data(), 1).err().unwrap();
    assert!(
        matches!(&error, Error::Net(vbd_net::Error::Io { path, .. }) if *path == unreadable),
        "{error}"
    );
    assert!(unreadable.is_dir());
    assert_eq!(files(&path), before);
}

#[test]
fn an_old_checkpoint_that_cannot_be_removed_does_not_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let mut trainer = start(&recipe("vbd", SCHEDULE), &path, 1);
    // Neither a file nor empty.
    let stuck = path.join("checkpoints/epoch-0000-step-000001.safetensors");
    std::fs::create_dir_all(stuck.join("inside")).unwrap();
    assert!(!run(&mut trainer).interrupted);
    assert!(stuck.is_dir());
}

#[test]
fn a_run_in_use_is_refused_and_free_again_when_its_trainer_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let recipe = recipe("vbd", SCHEDULE);
    let trainer = start(&recipe, &path, 1);
    let in_use =
        |result: vbd_core::Result<Trainer>| matches!(result.err(), Some(Error::RunInUse { .. }));
    assert!(in_use(resume(&path, data(), 1)));
    let again = Trainer::new(&spec(), &recipe, data(), &compute(1), &path, None);
    assert!(in_use(again));
    drop(trainer);
    assert!(!run(&mut resume(&path, data(), 1).unwrap()).interrupted);
}

#[test]
fn a_log_sigma2_of_nan_stops_the_run_and_is_not_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let mut checkpoint = Checkpoint::read(&stopped(&path).checkpoint).unwrap();
    let layer = &mut checkpoint.parameters.layers[0];
    let weight = layer.weight.to_dense();
    let mut log_sigma2 = weight.state("log_sigma2").unwrap().clone();
    log_sigma2.value[3] = f32::NAN;
    let theta = weight.theta().clone();
    layer.weight =
        Weight::dense(weight.shape(), theta, vec![posterior::state(log_sigma2)]).unwrap();
    checkpoint.progress.step_in_epoch += 1;
    RunFolder::open(&path)
        .unwrap()
        .write_checkpoint(&checkpoint)
        .unwrap();
    let error = resume(&path, data(), 1)
        .unwrap()
        .run(&AtomicBool::new(false), &mut |_| {})
        .unwrap_err();
    assert!(
        matches!(&error, Error::Diverged { what, .. } if what.contains("fc1.weight")),
        "{error}"
    );
}

#[test]
fn a_batch_larger_than_the_data_is_one_batch_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let train = |batch_size: usize| {
        let schedule = SCHEDULE.replace("16", &batch_size.to_string());
        let path = folder.path().join(batch_size.to_string());
        let outcome = run(&mut start(&recipe("vbd", &schedule), &path, 1));
        Checkpoint::read(&outcome.checkpoint).unwrap().parameters
    };
    assert_eq!(train(1 << 20), train(150));
}

#[test]
fn a_loss_of_nan_stops_the_run_before_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("vbd", &SCHEDULE.replace("5e-3", "1e30"));
    let path = folder.path().join("run");
    let error = start(&recipe, &path, 1)
        .run(&AtomicBool::new(false), &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    for (_, path) in RunFolder::open(&path).unwrap().checkpoints().unwrap() {
        assert_eq!(
            Checkpoint::read(&path).unwrap().parameters.not_finite(),
            None
        );
    }
}

#[test]
fn the_best_epoch_has_the_least_validation_error_among_those_pruned_enough() {
    let folder = tempfile::tempdir().unwrap();
    let train = format!("{SCHEDULE}\nvalidation = 30\nselect_ratio = 1.2");
    let outcome = run(&mut start(
        &recipe("vbd", &train),
        &folder.path().join("run"),
        1,
    ));
    let best = Checkpoint::read(&outcome.best.clone().unwrap()).unwrap();
    assert_eq!(best.data.n_train, 120);
    let lines = result(&outcome).1;
    let pruned =
        |line: &&serde_json::Value| line["compression_ratio"].as_f64().is_none_or(|r| r >= 1.2);
    let least = lines
        .iter()
        .filter(pruned)
        .map(|line| line["validation_error"].as_f64().unwrap());
    let least = least.fold(1.0, f64::min);
    assert_eq!(best.progress.best.unwrap().validation_error, Some(least));
    assert_eq!(best.progress.epoch, best.progress.best.unwrap().epoch);
}

#[test]
fn only_the_newest_and_every_nth_checkpoint_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = start(&recipe("vbd", SCHEDULE), &folder.path().join("run"), 1);
    trainer.set_keep_every(2);
    run(&mut trainer);
    let kept = trainer.folder().checkpoints().unwrap();
    let epochs: Vec<usize> = kept.iter().map(|((epoch, _), _)| *epoch).collect();
    assert_eq!(epochs, [2, 4, 5, 6]);
}

#[test]
fn a_run_does_not_resume_with_other_data_or_overwrite_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, path) = (recipe("vbd", SCHEDULE), folder.path().join("run"));
    run_to(&mut start(&recipe, &path, 1), (1, 2));
    let other = dataset([1, 6, 5], 4, 150, 41);
    let resumed = resume(&path, other, 1);
    assert!(matches!(
        resumed.err(),
        Some(Error::Net(vbd_net::Error::Data { .. }))
    ));
    let again = Trainer::new(&spec(), &recipe, data(), &compute(1), &path, None);
    assert!(matches!(again.err(), Some(Error::RunExists { .. })));
}

#[test]
fn data_that_do_not_fit_the_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, path) = (recipe("vbd", SCHEDULE), folder.path().join("run"));
    let refused = |data| {
        let trainer = Trainer::new(&spec(), &recipe, data, &compute(1), &path, None);
        match trainer.err() {
            Some(Error::Net(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let shape = refused(dataset([1, 5, 5], 4, 50, 10));
    assert!(
        matches!(shape, vbd_net::Error::ImageShape { .. }),
        "{shape}"
    );
    let classes = refused(dataset([1, 6, 5], 5, 50, 10));
    assert!(matches!(classes, vbd_net::Error::Data { .. }), "{classes}");
    assert!(!path.exists());
}

#[test]
fn weights_die_and_checkpoints_turn_compact() {
    let folder = tempfile::tempdir().unwrap();
    let train = "epochs = 30\nbatch_size = 16\nkl_warmup = [0.0, 0.1]\nlr = 2e-2";
    let outcome = run(&mut start(
        &recipe("vbd", train),
        &folder.path().join("run"),
        1,
    ));
    let checkpoint = Checkpoint::read(&outcome.checkpoint).unwrap();
    let weight = &checkpoint.parameters.layers[0].weight;
    let live = weight.live().expect("compact");
    assert!(live.len() < weight.numel() / 2);
    assert_eq!(live.len(), weight.nnz(&*vbd_core::method::vbd(3.0)));
    let last = &result(&outcome).1[29];
    assert_eq!(last["layers"][0]["nnz"], live.len());
    assert!(last["test_error"].as_f64().unwrap() < 0.2, "{last}");
}
