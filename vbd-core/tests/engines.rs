//! The CPU engine against the Candle engine, and both against the rule of which weights live.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests: helpers may panic, numbers are small"
)]

mod support;

use support::engine::{
    THETA_TOLERANCE, assert_close, assert_same_gradients, at, convolutions, cpu, first_step,
    indices, kill, mixed, pair, spec,
};
use support::{deployed, mlp, recipe, residual};
use vbd_core::method::vbd;
use vbd_core::posterior::{self, LOG_SIGMA2};
use vbd_core::recipe::{KeyValue, Recipe};
use vbd_core::step::{Batch, Step};
use vbd_core::weight::{LayerParameters, Parameter, Parameters, Weight};
use vbd_net::spec::NetSpec;

/// Chains, and nets with sums.
fn nets() -> [NetSpec; 4] {
    [
        spec(),
        convolutions(),
        residual::linear(),
        residual::convolutions(),
    ]
}

/// Nets with batch normalisation too. Adam divides a gradient by its size, so that where one is a
/// rounding error, as of a weight whose scale is normalised away, theta differs after some steps.
fn all_nets() -> Vec<NetSpec> {
    let deployed = [deployed::windows(), deployed::residual()];
    nets().into_iter().chain(deployed).collect()
}

#[test]
fn both_engines_give_equal_gradients() {
    let kinds = ["vbd", "vd", "dense"].into_iter();
    for (kind, spec) in kinds.flat_map(|kind| all_nets().into_iter().map(move |net| (kind, net))) {
        for kl_scale in [0.0, 0.3, 1.0] {
            let recipe = recipe(kind, "");
            let mut pair = pair(&spec, &recipe, &mixed(&spec, &recipe), 2);
            let indices = indices(0);
            let batch = Batch::of(&pair.data.train, &indices);
            let cpu = pair.cpu.step(&batch, &at(0, kl_scale)).unwrap();
            let candle = pair.candle.step(&batch, &at(0, kl_scale)).unwrap();
            assert!(
                (cpu - candle).abs() < 1e-4 * candle.abs(),
                "{kind}: {cpu} {candle}"
            );
            assert_same_gradients(
                &pair.cpu.parameters().unwrap(),
                &pair.candle.parameters().unwrap(),
            );
        }
    }
}

/// A KL weight of its own for one layer, first or not.
fn weighed(kind: &str, layer: &str) -> Recipe {
    recipe(
        kind,
        &format!("[[method.rule]]\nweights = ['{layer}']\nkl_weight = 40.0"),
    )
}

#[test]
fn a_layers_own_kl_weight_is_in_the_gradients_and_the_kl_of_both_engines() {
    for (kind, spec, layer) in [
        ("vbd", convolutions(), "conv1"),
        ("vd", convolutions(), "fc1"),
        ("vbd", spec(), "fc2"),
    ] {
        let weighed = weighed(kind, layer);
        let parameters = mixed(&spec, &weighed);
        let step = |recipe: &Recipe| {
            let mut pair = pair(&spec, recipe, &parameters, 2);
            let kls = [pair.cpu.kl().unwrap(), pair.candle.kl().unwrap()];
            let indices = indices(0);
            let batch = Batch::of(&pair.data.train, &indices);
            pair.cpu.step(&batch, &at(0, 1.0)).unwrap();
            pair.candle.step(&batch, &at(0, 1.0)).unwrap();
            let cpu = pair.cpu.parameters().unwrap();
            assert_same_gradients(&cpu, &pair.candle.parameters().unwrap());
            assert!((kls[0] - kls[1]).abs() < 1e-4 * kls[1].abs(), "{kls:?}");
            (kls[0], cpu)
        };
        let (kl, own) = step(&weighed);
        let (plain_kl, plain) = step(&recipe(kind, ""));
        assert!(kl > plain_kl * 1.5, "{kl} {plain_kl}");
        for (own, plain) in own.layers.iter().zip(&plain.layers) {
            let same = own.weight.theta().m == plain.weight.theta().m;
            assert_eq!(same, own.name != layer, "{kind} {layer}: {}", own.name);
        }
    }
}

#[test]
fn both_engines_have_equal_theta_after_20_steps_with_a_kill_between() {
    let kinds = ["vbd", "vd", "dense"].into_iter();
    for (kind, spec) in kinds.flat_map(|kind| nets().map(|net| (kind, net))) {
        let recipe = match kind {
            "vd" => weighed(kind, "fc1"),
            _ => recipe(kind, ""),
        };
        let mut pair = pair(&spec, &recipe, &mixed(&spec, &recipe), 2);
        for step in 0..20 {
            let indices = indices(step);
            let indices = if step % 5 == 4 {
                &indices[..9]
            } else {
                &indices
            };
            let batch = Batch::of(&pair.data.train, indices);
            let kl_scale = f64::from(step.min(5)) / 5.0;
            pair.cpu.step(&batch, &at(step, kl_scale)).unwrap();
            pair.candle.step(&batch, &at(step, kl_scale)).unwrap();
            if step == 10 {
                kill(&mut pair.cpu, &spec, &recipe);
                kill(&mut pair.candle, &spec, &recipe);
            }
        }
        let (cpu, candle) = (
            pair.cpu.parameters().unwrap(),
            pair.candle.parameters().unwrap(),
        );
        for (cpu, candle) in cpu.layers.iter().zip(&candle.layers) {
            let (a, b) = (&cpu.weight.theta().value, &candle.weight.theta().value);
            assert_close(a, b, THETA_TOLERANCE, &format!("{kind} {}", cpu.name));
            assert_close(
                &cpu.bias.value,
                &candle.bias.value,
                THETA_TOLERANCE,
                &cpu.name,
            );
        }
        let (a, b) = (pair.cpu.kl().unwrap(), pair.candle.kl().unwrap());
        assert!((a - b).abs() <= 1e-3 * b.abs(), "{kind}: {a} {b}");
        let a = pair.cpu.evaluate(&pair.data.test).unwrap();
        let b = pair.candle.evaluate(&pair.data.test).unwrap();
        assert_eq!(a.wrong(), b.wrong());
        let (a, b) = (a.nll().unwrap(), b.nll().unwrap());
        assert!((a - b).abs() < 1e-3 * b, "{a:?} {b:?}");
    }
}

#[test]
fn fixed_zeros_stay_0_in_both_engines_whatever_the_share_of_them() {
    let spec = deployed::residual();
    for (optimizer, nth) in [
        ("optimizer = 'adam'", 3),
        ("optimizer = 'sgd'\nweight_decay = 0.01", 3),
        ("optimizer = 'adam'", 12),
        ("optimizer = 'sgd'\nweight_decay = 0.01", 12),
    ] {
        let mut recipe = recipe("dense", optimizer);
        let fixed = KeyValue::Flag(true);
        recipe.method.keys.insert("fixed_zeros".to_owned(), fixed);
        let mut parameters = mixed(&spec, &recipe);
        // one entry of `nth` lives, or all but one
        let is_kept = |place: usize| place.is_multiple_of(nth) == (nth > 3);
        for layer in &mut parameters.layers {
            let theta = layer.weight.theta().value.iter().enumerate();
            let theta = theta.map(|(i, &theta)| if is_kept(i) { theta } else { 0.0 });
            let theta = Parameter::new(theta.collect());
            let shape = layer.weight.shape().to_vec();
            layer.weight = Weight::dense(&shape, theta, Vec::new()).unwrap();
        }
        let mut pair = pair(&spec, &recipe, &parameters, 2);
        for step in 0..6 {
            let indices = indices(step);
            let batch = Batch::of(&pair.data.train, &indices);
            pair.cpu.step(&batch, &at(step, 1.0)).unwrap();
            pair.candle.step(&batch, &at(step, 1.0)).unwrap();
            if step == 3 {
                kill(&mut pair.cpu, &spec, &recipe);
                kill(&mut pair.candle, &spec, &recipe);
            }
        }
        let [cpu, candle] = [&pair.cpu as &dyn Step, &pair.candle].map(|e| e.parameters().unwrap());
        for ((cpu, candle), before) in cpu
            .layers
            .iter()
            .zip(&candle.layers)
            .zip(&parameters.layers)
        {
            let (a, b) = (&cpu.weight.theta().value, &candle.weight.theta().value);
            assert_close(a, b, THETA_TOLERANCE, &cpu.name);
            let old = &before.weight.theta().value;
            assert!(
                a.iter()
                    .zip(old)
                    .all(|(new, old)| (*new == 0.0) == (*old == 0.0))
            );
            assert!(
                b.iter()
                    .zip(old)
                    .all(|(new, old)| (*new == 0.0) == (*old == 0.0))
            );
            assert!(a != old);
        }
    }
}

#[test]
fn both_engines_have_equal_theta_after_steps_of_sgd() {
    for (kind, spec) in [
        ("vbd", spec()),
        ("dense", residual::convolutions()),
        ("vbd", deployed::windows()),
        ("dense", deployed::residual()),
    ] {
        let table = "optimizer = 'sgd'\nmomentum = 0.8\nweight_decay = 0.01";
        let recipe = recipe(kind, table);
        let mut pair = pair(&spec, &recipe, &mixed(&spec, &recipe), 2);
        let before = pair.cpu.parameters().unwrap();
        for step in 0..10 {
            let indices = indices(step);
            let batch = Batch::of(&pair.data.train, &indices);
            pair.cpu.step(&batch, &at(step, 1.0)).unwrap();
            pair.candle.step(&batch, &at(step, 1.0)).unwrap();
            if step == 5 {
                kill(&mut pair.cpu, &spec, &recipe);
                kill(&mut pair.candle, &spec, &recipe);
            }
        }
        let [cpu, candle] = [&pair.cpu as &dyn Step, &pair.candle].map(|e| e.parameters().unwrap());
        assert_eq!((cpu.not_finite(), candle.not_finite()), (None, None));
        for ((cpu, candle), before) in cpu.layers.iter().zip(&candle.layers).zip(&before.layers) {
            let (a, b) = (&cpu.weight.theta().value, &candle.weight.theta().value);
            assert_close(a, b, THETA_TOLERANCE, &format!("{kind} {}", cpu.name));
            assert_ne!(a, &before.weight.theta().value);
            assert!(cpu.weight.theta().v.iter().all(|&v| v == 0.0));
        }
        assert_same_norms(&cpu, &candle);
    }
}

/// Checks what training made of the batch normalisations.
fn assert_same_norms(cpu: &Parameters, candle: &Parameters) {
    for (cpu, candle) in cpu.norms.iter().zip(&candle.norms) {
        for (a, b) in [
            (&cpu.weight.value, &candle.weight.value),
            (&cpu.bias.value, &candle.bias.value),
            (&cpu.running_mean, &candle.running_mean),
            (&cpu.running_var, &candle.running_var),
        ] {
            assert_close(a, b, THETA_TOLERANCE, &cpu.name);
        }
    }
}

#[test]
fn steps_give_the_same_bits_on_any_number_of_threads() {
    let recipe = recipe("vbd", "");
    // large enough that every layer is cut into several blocks
    let linear = mlp(&[1, 6, 5], &[700, 90, 4]);
    let run = |spec: &NetSpec, threads| {
        let mut pair = pair(
            spec,
            &recipe,
            &Parameters::init(spec, &recipe).unwrap(),
            threads,
        );
        for step in 0..6 {
            let indices = indices(step);
            let batch = Batch::of(&pair.data.train, &indices);
            pair.cpu.step(&batch, &at(step, 0.5)).unwrap();
        }
        pair.cpu.parameters().unwrap()
    };
    let deployed = [deployed::windows(), deployed::residual()];
    let plain = [linear, convolutions(), residual::convolutions()];
    for spec in plain.into_iter().chain(deployed) {
        let one = run(&spec, 1);
        assert_eq!(one, run(&spec, 2));
        assert_eq!(one, run(&spec, 3));
    }
}

/// Steps both engines once and gives their parameters before and after.
fn step_once(parameters: &Parameters, kl_scale: f64) -> Vec<Parameters> {
    let recipe = recipe("vbd", "");
    let mut pair = pair(&spec(), &recipe, parameters, 1);
    let indices = indices(0);
    let batch = Batch::of(&pair.data.train, &indices);
    pair.cpu.step(&batch, &at(0, kl_scale)).unwrap();
    pair.candle.step(&batch, &at(0, kl_scale)).unwrap();
    vec![
        pair.cpu.parameters().unwrap(),
        pair.candle.parameters().unwrap(),
    ]
}

/// The first layer with every weight over the threshold: `log_alpha` = 4.
fn masked_first_layer() -> Parameters {
    let recipe = recipe("vbd", "");
    let mut parameters = Parameters::init(&spec(), &recipe).unwrap();
    let layer = &mut parameters.layers[0];
    let theta = layer.weight.theta().value.clone();
    let log_sigma2 = theta
        .iter()
        .map(|theta| 2.0 * theta.abs().ln() + 4.0)
        .collect();
    let shape = layer.weight.shape().to_vec();
    layer.weight = Weight::dense(
        &shape,
        Parameter::new(theta),
        vec![posterior::state(Parameter::new(log_sigma2))],
    )
    .unwrap();
    parameters
}

#[test]
fn rule_1_nothing_is_masked_while_kl_scale_is_0() {
    for after in step_once(&masked_first_layer(), 0.0) {
        let moved = after.layers[0]
            .weight
            .theta()
            .m
            .iter()
            .filter(|m| **m != 0.0)
            .count();
        assert!(moved > 900, "{moved}");
    }
}

#[test]
fn rule_2_a_masked_weight_moves_by_its_kl_alone() {
    let before = masked_first_layer();
    let kl_factor = 0.5 / 60.0;
    for after in step_once(&before, 0.5) {
        let (old, new) = (&before.layers[0].weight, &after.layers[0].weight);
        let sigma2 = old.state(LOG_SIGMA2).unwrap().value.iter().map(|l| l.exp());
        for ((theta, sigma2), m) in old.theta().value.iter().zip(sigma2).zip(&new.theta().m) {
            let gradient = kl_factor * theta / (theta * theta + sigma2);
            assert!(
                (10.0 * m - gradient).abs() <= 1e-4 * gradient.abs(),
                "{m} {gradient}"
            );
        }
        assert_ne!(old.theta().value, new.theta().value);
        // its outputs are the bias alone, so nothing of the data comes through it
        assert!(new.state(LOG_SIGMA2).unwrap().m.iter().all(|m| *m < 0.0));
    }
}

#[test]
fn rule_3_a_killed_weight_is_never_updated_again() {
    let recipe = recipe("vbd", "");
    let spec = spec();
    let mut pair = pair(&spec, &recipe, &mixed(&spec, &recipe), 2);
    let steps: [&mut dyn Step; 2] = [&mut pair.cpu, &mut pair.candle];
    for engine in steps {
        kill(engine, &spec, &recipe);
        let before = engine.parameters().unwrap();
        for step in 0..3 {
            let indices = indices(step);
            let batch = Batch::of(&pair.data.train, &indices);
            // unmasked steps too: dead is dead
            engine
                .step(&batch, &at(step, f64::from(step) * 0.5))
                .unwrap();
        }
        let after = engine.parameters().unwrap();
        for (before, after) in before.layers.iter().zip(&after.layers) {
            let dead = |weight: &Weight| -> Vec<usize> {
                let log_sigma2 = &weight.state(LOG_SIGMA2).unwrap().value;
                (0..log_sigma2.len())
                    .filter(|&i| log_sigma2[i] == f32::INFINITY)
                    .collect()
            };
            let places = dead(&before.weight);
            assert!(!places.is_empty());
            assert_eq!(places, dead(&after.weight));
            let theta = after.weight.theta();
            assert!(
                places
                    .iter()
                    .all(|&i| theta.value[i] == 0.0 && theta.m[i] == 0.0 && theta.v[i] == 0.0)
            );
        }
    }
}

#[test]
fn nothing_turns_nan_at_the_edges() {
    let recipe = recipe("vbd", "");
    let spec = spec();
    let initial = Parameters::init(&spec, &recipe).unwrap();
    let with = |theta: Option<f32>, log_sigma2: f32| {
        let layers = initial.layers.iter().map(|layer| {
            let values = layer
                .weight
                .theta()
                .value
                .iter()
                .map(|&x| theta.unwrap_or(x))
                .collect();
            let log_sigma2 = Parameter::new(vec![log_sigma2; layer.weight.numel()]);
            let weight = Weight::dense(
                layer.weight.shape(),
                Parameter::new(values),
                vec![posterior::state(log_sigma2)],
            );
            LayerParameters {
                weight: weight.unwrap(),
                ..layer.clone()
            }
        });
        Parameters::from(layers.collect::<Vec<_>>())
    };
    let cases = [
        with(Some(0.0), -10.0),
        with(None, -40.0),
        with(None, 20.0),
        with(Some(0.0), -40.0),
        with(Some(0.0), 20.0),
        with(Some(0.0), f32::INFINITY),
    ];
    for (case, parameters) in cases.iter().enumerate() {
        for kl_scale in [0.0, 1.0] {
            for after in step_once(parameters, kl_scale) {
                assert_eq!(after.not_finite(), None, "case {case}, kl_scale {kl_scale}");
            }
        }
    }
}

/// The same parameters with one value of a layer's weight moved.
fn moved(
    parameters: &Parameters,
    layer: usize,
    by_theta: bool,
    index: usize,
    h: f32,
) -> Parameters {
    let mut parameters = parameters.clone();
    let weight = &parameters.layers[layer].weight;
    let (mut theta, mut log_sigma2) = (
        weight.theta().clone(),
        weight.state(LOG_SIGMA2).unwrap().clone(),
    );
    let values = if by_theta {
        &mut theta
    } else {
        &mut log_sigma2
    };
    values.value[index] += h;
    let shape = weight.shape().to_vec();
    parameters.layers[layer].weight =
        Weight::dense(&shape, theta, vec![posterior::state(log_sigma2)]).unwrap();
    parameters
}

#[test]
fn the_cpu_engine_has_the_gradients_of_finite_differences() {
    let recipe = recipe("vbd", "");
    for spec in all_nets() {
        let mut parameters = Parameters::init(&spec, &recipe).unwrap();
        for layer in &mut parameters.layers {
            // noise large enough to matter, small enough not to hide the means
            let shape = layer.weight.shape().to_vec();
            let log_sigma2 = Parameter::new(vec![-5.0; layer.weight.numel()]);
            let theta = layer.weight.theta().clone();
            layer.weight =
                Weight::dense(&shape, theta, vec![posterior::state(log_sigma2)]).unwrap();
        }
        let nll = |parameters: &Parameters| first_step(&spec, &recipe, parameters);
        let stepped = nll(&parameters).1;
        for (layer, after) in stepped.layers.iter().enumerate() {
            let (theta, log_sigma2) = (
                after.weight.theta(),
                after.weight.state(LOG_SIGMA2).unwrap(),
            );
            for (by_theta, m, h) in [(true, &theta.m, 2e-3), (false, &log_sigma2.m, 0.05)] {
                let scale = m.iter().fold(0.0_f32, |most, m| most.max(m.abs())) * 10.0;
                for index in (0..m.len()).step_by(m.len() / 12 + 1) {
                    let at = |h| nll(&moved(&parameters, layer, by_theta, index, h)).0;
                    let difference = ((at(h) - at(-h)) / f64::from(2.0 * h)) as f32;
                    let error = (10.0 * m[index] - difference).abs();
                    let what = format!("{} theta {by_theta} [{index}]", after.name);
                    // ReLU and pooling have kinks: a difference may step over one
                    assert!(
                        error < 0.05 * scale + 1e-4,
                        "{what}: {} {difference}",
                        10.0 * m[index]
                    );
                }
            }
        }
    }
}

#[test]
fn compact_computation_gives_the_numbers_of_masked_dense_computation() {
    for spec in nets() {
        for kind in ["vbd", "vd"] {
            let recipe = recipe(kind, "");
            let mut parameters = mixed(&spec, &recipe);
            for layer in &mut parameters.layers {
                layer.weight.kill(&*vbd(-5.4));
                let numel = layer.weight.numel();
                assert!(layer.weight.nnz(&*vbd(3.0)) > 0 || numel < 50);
            }
            let mut results = [true, false].map(|compaction| {
                let (mut engine, data) = cpu(&spec, &recipe, &parameters, compaction);
                for step in 0..8 {
                    let indices = indices(step);
                    let batch = Batch::of(&data.train, &indices);
                    engine.step(&batch, &at(step, 1.0)).unwrap();
                    if step == 4 {
                        kill(&mut engine, &spec, &recipe);
                    }
                }
                let evaluation = engine.evaluate(&data.test).unwrap();
                (
                    engine.parameters().unwrap(),
                    evaluation,
                    engine.kl().unwrap(),
                )
            });
            let (dense, compact) = results.split_at_mut(1);
            let ((a, evaluation, kl), (b, evaluation_b, kl_b)) = (&dense[0], &compact[0]);
            for (a, b) in a.layers.iter().zip(&b.layers) {
                let what = format!("{kind} {}", a.name);
                assert_eq!(
                    a.weight.to_compact().live(),
                    b.weight.to_compact().live(),
                    "{what}"
                );
                assert_close(
                    &a.weight.theta().value,
                    &b.weight.theta().value,
                    THETA_TOLERANCE,
                    &what,
                );
                assert_close(&a.bias.value, &b.bias.value, THETA_TOLERANCE, &what);
            }
            assert_eq!(evaluation.wrong(), evaluation_b.wrong());
            assert!((kl - kl_b).abs() < 1e-4 * kl_b.abs());
        }
    }
}
