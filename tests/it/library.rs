//! The libraries together, without the binary.

use std::sync::atomic::AtomicBool;

use candle_core::{D, Device, Module, Tensor};
use vbd_core::recipe::Train;
use vbd_core::train::{Compute, Event, Trainer};
use vbd_models::{data, nets, recipes};
use vbd_prune::{PruneOptions, Report, SparseNet, open, prune};

#[test]
fn a_net_is_trained_pruned_and_run_on_candle_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipes::recipe("quickstart").unwrap();
    recipe.train = Train {
        epochs: 4,
        batch_size: 20,
        ..recipe.train
    };
    // With few samples, the prior dominates.
    recipe.method.kl_weight = 0.05;
    let net = nets::net("lenet-300-100").unwrap();
    let digits = data::digits(data::DEFAULT_SEED, 2000, 500).unwrap();
    let run = folder.path().join("run");
    let compute = Compute::default();
    let mut trainer = Trainer::new(&net, &recipe, digits.clone(), &compute, &run, None).unwrap();
    let mut errors = Vec::new();
    let outcome = trainer
        .run(&AtomicBool::new(false), &mut |event| {
            if let Event::Epoch(report) = event {
                errors.extend(report.test_error);
            }
        })
        .unwrap();
    assert!(!outcome.interrupted && errors.len() == 4);
    assert!(errors[3] < 0.2, "{errors:?}");

    let path = folder.path().join("pruned.safetensors");
    let file = prune(
        &open(&outcome.checkpoint).unwrap(),
        &PruneOptions::default(),
    )
    .unwrap();
    file.write(&path).unwrap();
    assert_eq!(
        Report::of_file(&file).unwrap(),
        Report::new(&open(&path).unwrap()).unwrap()
    );

    let sparse = SparseNet::load(&path).unwrap();
    let evaluation = sparse.evaluate(&digits.test).unwrap();
    assert!(
        (evaluation.test_error().unwrap() - errors[3]).abs() < 1e-12,
        "{evaluation:?} {errors:?}"
    );
    let count = digits.test.len();
    let pixels = Tensor::from_slice(
        digits.test.inputs().bytes().unwrap(),
        (count, 1, 28, 28),
        &Device::Cpu,
    )
    .unwrap();
    let classes = sparse.forward(&pixels).unwrap().argmax(D::Minus1).unwrap();
    let classes = classes.to_vec1::<u32>().unwrap();
    let labels = digits.test.labels().unwrap();
    let wrong = classes
        .iter()
        .zip(labels)
        .filter(|&(&class, &label)| class != u32::from(label));
    assert_eq!(Some(wrong.count()), evaluation.wrong());
}
