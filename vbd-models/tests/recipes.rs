//! Every built-in recipe trains its network on data of the shape that it names.

#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

use vbd_core::data::Batches;
use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::step::{At, CpuConfig, CpuStep, Objective, Step};
use vbd_core::weight::Parameters;
use vbd_models::{nets, recipes};
use vbd_net::data::{Dataset, Samples};
use vbd_net::spec::{NetSpec, Normalizer};

/// Samples per split and batch.
const SAMPLES: usize = 2;

/// Returns the shape of a sample of the data that a recipe names.
fn shape_of(data: &str, spec: &NetSpec) -> [usize; 3] {
    match data {
        "digits" | "mnist" | "fashion-mnist" => [1, 28, 28],
        "cifar-10" | "svhn" => [3, 32, 32],
        // A user's own: pictures are grey or RGB, arrays as the network wants them.
        _ => match spec.input[..] {
            [channels, rows, columns] => {
                assert!(
                    data.starts_with("npz:") || [1, 3].contains(&channels),
                    "{data}"
                );
                [channels, rows, columns]
            }
            [features] if data.starts_with("npz:") => [1, 1, features],
            _ => panic!("{data} for a network with input {:?}", spec.input),
        },
    }
}

fn random_data(shape: [usize; 3], classes: Option<usize>) -> Dataset {
    let len = shape.iter().product::<usize>();
    let samples = |seed: u64| {
        let mut values = vec![0.0; SAMPLES * len];
        NoiseKey {
            seed,
            step: 0,
            stream: Stream::Other(1),
        }
        .fill_uniform(0, &mut values);
        match classes {
            Some(classes) => {
                let labels = (0..SAMPLES).map(|index| u8::try_from(index % classes).unwrap());
                Samples::new(values, labels.collect(), len).unwrap()
            }
            None => Samples::unlabelled(values, len).unwrap(),
        }
    };
    Dataset::new(
        "random",
        shape,
        classes.unwrap_or(0),
        samples(1),
        samples(2),
    )
    .unwrap()
}

#[test]
fn every_recipe_trains_a_step_on_data_of_its_networks_shape() {
    let mut trained = 0;
    for entry in recipes::list() {
        let recipe = recipes::recipe(entry.name).unwrap();
        let (Some(model), Some(data)) = (&recipe.model, &recipe.data) else {
            continue;
        };
        let spec = nets::net(model).unwrap();
        let data = random_data(shape_of(data, &spec), spec.classes);
        data.check_shape(&spec)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        let objective = Objective::new(&spec, &recipe, SAMPLES).unwrap();
        let normalizer = Normalizer::measure(&spec, &data.train);
        let parameters = Parameters::init(&spec, &recipe).unwrap();
        let config = CpuConfig {
            batch_size: SAMPLES,
            threads: 0,
            compaction: true,
        };
        let mut engine = CpuStep::new(&spec, objective, normalizer, &parameters, config).unwrap();
        let mut batches = Batches::of_recipe(&recipe, &spec).unwrap();
        let indices: Vec<u32> = (0..).take(SAMPLES).collect();
        let at = At {
            seed: recipe.train.seed,
            step: 0,
            lr: recipe.train.lr_at(0.0, 0),
            kl_scale: 1.0,
        };
        let nll = engine
            .step(batches.prepare(&data.train, 0, &indices), &at)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
        assert!(nll.is_finite() && nll > 0.0, "{}: {nll}", entry.name);
        let quality = engine.evaluate(&data.test).unwrap().quality().value();
        assert!(quality.is_finite(), "{}", entry.name);
        trained += 1;
    }
    assert!(trained > 15, "{trained}");
}

#[test]
fn recipes_that_start_from_a_dense_run_say_so_and_state_what_that_changes() {
    for entry in recipes::list() {
        if !entry.summary.contains("--from") || entry.name.ends_with("-dense") {
            continue;
        }
        let text = recipes::toml(entry.name).unwrap();
        let own_keys: &[&str] = if text.contains("fixed_zeros = true") {
            &["kind = \"dense\""]
        } else {
            &["log_sigma2_init = -", "kl_warmup = ["]
        };
        for key in own_keys {
            assert!(text.contains(key), "{}: {key}", entry.name);
        }
        let (_, dense) = entry.summary.split_once("a run of ").unwrap();
        let own = recipes::recipe(entry.name).unwrap();
        let dense = recipes::recipe(dense).unwrap();
        assert_eq!(
            (own.model, own.data),
            (dense.model, dense.data),
            "{}",
            entry.name
        );
    }
}
