//! Gates in both engines: gradients, which units live, and computation without dead units.
#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests: helpers may panic, bits are compared"
)]

mod support;

use support::engine::{
    THETA_TOLERANCE, assert_close, assert_same_gradients, at, convolutions, cpu, first_step,
    indices, kill, pair, spec,
};
use support::{residual, uniform};
use vbd_core::gate::Gate;
use vbd_core::posterior;
use vbd_core::recipe::Recipe;
use vbd_core::step::{Batch, Step};
use vbd_core::weight::{GateParameters, Parameter, Parameters, Weight};
use vbd_net::spec::NetSpec;

/// Gates with these places, KL weights and thresholds.
fn recipe((kind, prior): (&str, &str), gates: &[(&str, f64, f32)]) -> Recipe {
    let gates = gates.iter().map(|(after, kl_weight, threshold)| {
        format!(
            "[[method.gate]]\nafter = '{after}'\nprior = '{prior}'\nkl_weight = {kl_weight:?}\n\
             log_alpha_threshold = {threshold:?}\n"
        )
    });
    let gates: String = gates.collect();
    let text = format!("summary = 'test'\n[method]\nkind = '{kind}'\n{gates}");
    Recipe::from_toml(&text, "test").unwrap()
}

/// Every network with every kind that has gates.
fn cases() -> Vec<(NetSpec, Recipe)> {
    let linear = [("input", 15.0, 3.0), ("fc1", 1.0, 1.0), ("fc2", 2.0, 0.5)];
    let images = [
        ("input", 0.5, 3.0),
        ("conv1", 1.0, 2.0),
        ("conv2", 3.0, 3.0),
        ("conv3", 2.0, 2.5),
        ("flatten", 1.5, 3.0),
        ("fc1", 4.0, 1.0),
    ];
    // gates that fold, and gates whose units a sum reads too
    let sums = [
        ("input", 1.0, 3.0),
        ("fc1", 1.0, 1.0),
        ("fc2", 2.0, 0.5),
        ("sum1", 1.0, 2.0),
    ];
    let images_with_sums = [
        ("conv1", 1.0, 2.0),
        ("conv2", 3.0, 3.0),
        ("sum1", 2.0, 2.5),
        ("flatten", 1.5, 3.0),
        ("sum3", 1.0, 1.0),
    ];
    let kinds = [
        ("dense", "hierarchical"),
        ("dense", "log-uniform"),
        ("vbd", "hierarchical"),
        ("vd", "hierarchical"),
    ];
    let cases = kinds.into_iter().flat_map(|kind| {
        [
            (spec(), recipe(kind, &linear)),
            (convolutions(), recipe(kind, &images)),
            (residual::linear(), recipe(kind, &sums)),
            (residual::convolutions(), recipe(kind, &images_with_sums)),
        ]
    });
    cases.collect()
}

fn log_sigma2(gate: &GateParameters) -> &Parameter {
    gate.units.state("log_sigma2").unwrap()
}

/// A gate with other values.
fn with(gate: &GateParameters, theta: Parameter, log_sigma2: Parameter) -> GateParameters {
    let states = vec![posterior::state(log_sigma2)];
    GateParameters {
        after: gate.after.clone(),
        units: Weight::dense(gate.units.shape(), theta, states).unwrap(),
    }
}

/// Gates with `log_alpha` on both sides of their thresholds, theta of both signs.
fn mixed(spec: &NetSpec, recipe: &Recipe) -> Parameters {
    let initial = Parameters::init(spec, recipe).unwrap();
    let gates = initial.gates.into_iter().zip(3..).map(|(gate, seed)| {
        let draws = uniform(seed, 2 * gate.units.numel());
        let (theta, spread) = draws.split_at(gate.units.numel());
        let theta: Vec<f32> = theta.iter().map(|u| 2.5 * u - 1.0).collect();
        let log_sigma2 = theta.iter().zip(spread);
        let log_sigma2 =
            log_sigma2.map(|(theta, u)| 2.0 * theta.abs().ln() + 10.0 * u.min(0.7) - 4.0);
        let log_sigma2 = Parameter::new(log_sigma2.collect());
        with(&gate, Parameter::new(theta), log_sigma2)
    });
    Parameters {
        gates: gates.collect(),
        layers: initial.layers,
        norms: initial.norms,
        net: Vec::new(),
    }
}

fn assert_same_gate_gradients(cpu: &Parameters, candle: &Parameters) {
    for (cpu, candle) in cpu.gates.iter().zip(&candle.gates) {
        let what = format!("gate.{}", cpu.after);
        assert_close(&cpu.theta().m, &candle.theta().m, 2e-5, &what);
        let [a, b] = [cpu, candle].map(|gate| &log_sigma2(gate).m);
        assert_close(a, b, 2e-5, &what);
    }
}

#[test]
fn both_engines_give_equal_gradients() {
    for (spec, recipe) in cases() {
        for kl_scale in [0.0, 0.3, 1.0] {
            let mut pair = pair(&spec, &recipe, &mixed(&spec, &recipe), 2);
            let indices = indices(0);
            let batch = Batch::of(&pair.data.train, &indices);
            let cpu = pair.cpu.step(&batch, &at(0, kl_scale)).unwrap();
            let candle = pair.candle.step(&batch, &at(0, kl_scale)).unwrap();
            assert!((cpu - candle).abs() < 1e-4 * candle.abs(), "{cpu} {candle}");
            let (cpu, candle) = (
                pair.cpu.parameters().unwrap(),
                pair.candle.parameters().unwrap(),
            );
            assert_same_gradients(&cpu, &candle);
            assert_same_gate_gradients(&cpu, &candle);
        }
    }
}

#[test]
fn both_engines_have_equal_parameters_after_20_steps_with_a_kill_between() {
    for (spec, recipe) in cases() {
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
        assert_same_state(&mut pair.cpu, &mut pair.candle, &pair.data.test);
    }
}

fn assert_same_state(a: &mut dyn Step, b: &mut dyn Step, test: &vbd_net::data::Samples) {
    let [x, y] = [a.parameters().unwrap(), b.parameters().unwrap()];
    for (x, y) in x.layers.iter().zip(&y.layers) {
        let [theta_x, theta_y] = [&x.weight, &y.weight].map(|w| w.to_dense().theta().value.clone());
        assert_close(&theta_x, &theta_y, THETA_TOLERANCE, &x.name);
        assert_close(&x.bias.value, &y.bias.value, THETA_TOLERANCE, &x.name);
    }
    for (x, y) in x.gates.iter().zip(&y.gates) {
        assert_close(
            &x.theta().value,
            &y.theta().value,
            THETA_TOLERANCE,
            &x.after,
        );
        let log_sigma2 = [x, y].map(|gate| &log_sigma2(gate).value);
        assert_close(log_sigma2[0], log_sigma2[1], THETA_TOLERANCE, &x.after);
        assert!(x.alive().eq(y.alive()));
    }
    let [kl_x, kl_y] = [a.kl().unwrap(), b.kl().unwrap()];
    assert!((kl_x - kl_y).abs() <= 1e-3 * kl_y.abs(), "{kl_x} {kl_y}");
    let [x, y] = [a.evaluate(test).unwrap(), b.evaluate(test).unwrap()];
    assert_eq!(x.wrong(), y.wrong());
    let (x, y) = (x.nll().unwrap(), y.nll().unwrap());
    assert!((x - y).abs() < 1e-3 * y, "{x:?} {y:?}");
}

#[test]
fn a_step_without_dead_units_equals_the_masked_whole() {
    for (spec, recipe) in cases() {
        let mut parameters = mixed(&spec, &recipe);
        let gates = Gate::all(&spec, &recipe.method).unwrap();
        parameters.kill(&recipe.method.of_weights(&spec).unwrap(), &gates);
        let dead = parameters.gates.iter().flat_map(GateParameters::alive);
        assert!(dead.filter(|alive| !alive).count() > 3);
        let [mut narrow, mut whole] =
            [true, false].map(|compaction| cpu(&spec, &recipe, &parameters, compaction));
        for (engine, data) in [&mut narrow, &mut whole] {
            for step in 0..8 {
                let indices = indices(step);
                let batch = Batch::of(&data.train, &indices);
                engine.step(&batch, &at(step, 1.0)).unwrap();
                if step == 4 {
                    kill(engine, &spec, &recipe);
                }
            }
        }
        assert_same_state(&mut narrow.0, &mut whole.0, &narrow.1.test);
    }
}

#[test]
fn everything_of_a_dead_unit_is_zero_and_stays_zero() {
    let (spec, recipe) = (convolutions(), cases()[1].1.clone());
    let mut parameters = mixed(&spec, &recipe);
    let gates = Gate::all(&spec, &recipe.method).unwrap();
    parameters.kill(&recipe.method.of_weights(&spec).unwrap(), &gates);
    let mut pair = pair(&spec, &recipe, &parameters, 1);
    let engines: [&mut dyn Step; 2] = [&mut pair.cpu, &mut pair.candle];
    for engine in engines {
        for step in 0..3 {
            let indices = indices(step);
            let batch = Batch::of(&pair.data.train, &indices);
            engine
                .step(&batch, &at(step, 0.5 * f64::from(step)))
                .unwrap();
        }
        let after = engine.parameters().unwrap();
        for (own, gate) in after.gates.iter().zip(&gates) {
            for unit in own
                .alive()
                .enumerate()
                .filter(|(_, alive)| !alive)
                .map(|(unit, _)| unit)
            {
                assert_eq!(own.theta().arrays().map(|array| array[unit]), [0.0; 3]);
                if let Some(producer) = gate.producer {
                    let layer = &after.layers[producer];
                    let row_len = layer.weight.numel() / gate.units;
                    let row = &layer.weight.theta().value[unit * row_len..][..row_len];
                    assert!(row.iter().all(|&theta| theta == 0.0));
                    assert_eq!(layer.bias.value[unit], 0.0);
                }
                let reader = &after.layers[gate.readers[0].weight].weight;
                let row_len = reader.numel() / reader.shape()[0];
                let columns = unit * gate.readers[0].columns..(unit + 1) * gate.readers[0].columns;
                let mut rows = reader.theta().value.chunks(row_len);
                assert!(rows.all(|row| row[columns.clone()].iter().all(|&theta| theta == 0.0)));
            }
        }
    }
}

#[test]
fn steps_give_the_same_bits_on_any_number_of_threads() {
    for (spec, recipe) in cases() {
        let run = |threads| {
            let mut pair = pair(&spec, &recipe, &mixed(&spec, &recipe), threads);
            for step in 0..6 {
                let indices = indices(step);
                let batch = Batch::of(&pair.data.train, &indices);
                pair.cpu.step(&batch, &at(step, 0.5)).unwrap();
                if step == 2 {
                    kill(&mut pair.cpu, &spec, &recipe);
                }
            }
            pair.cpu.parameters().unwrap()
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}

#[test]
fn a_network_with_only_dead_units_still_trains_its_last_bias() {
    for (spec, recipe) in cases() {
        let mut parameters = mixed(&spec, &recipe);
        for gate in &mut parameters.gates {
            let zeros = Parameter::new(vec![0.0; gate.units.numel()]);
            *gate = with(gate, zeros, log_sigma2(gate).clone());
        }
        let settings = recipe.method.of_weights(&spec).unwrap();
        parameters.kill(&settings, &Gate::all(&spec, &recipe.method).unwrap());
        let mut pair = pair(&spec, &recipe, &parameters, 2);
        for step in 0..3 {
            let indices = indices(step);
            let batch = Batch::of(&pair.data.train, &indices);
            pair.cpu.step(&batch, &at(step, 1.0)).unwrap();
            pair.candle.step(&batch, &at(step, 1.0)).unwrap();
        }
        assert_eq!(pair.cpu.parameters().unwrap().not_finite(), None);
        assert_same_state(&mut pair.cpu, &mut pair.candle, &pair.data.test);
    }
}

#[test]
fn the_cpu_engine_has_the_gradients_of_finite_differences_by_the_gates() {
    for (spec, recipe) in cases().into_iter().take(4) {
        let mut parameters = Parameters::init(&spec, &recipe).unwrap();
        for gate in &mut parameters.gates {
            let log_sigma2 = Parameter::new(vec![-4.0; gate.units.numel()]);
            *gate = with(gate, gate.theta().clone(), log_sigma2);
        }
        let nll = |parameters: &Parameters| first_step(&spec, &recipe, parameters);
        let stepped = nll(&parameters).1;
        for (gate, after) in stepped.gates.iter().enumerate() {
            for (by_theta, m, h) in [
                (true, &after.theta().m, 2e-3),
                (false, &log_sigma2(after).m, 0.05),
            ] {
                let scale = m.iter().fold(0.0_f32, |most, m| most.max(m.abs())) * 10.0;
                for index in (0..m.len()).step_by(m.len() / 6 + 1) {
                    let moved = |h: f32| {
                        let mut parameters = parameters.clone();
                        let own = &mut parameters.gates[gate];
                        let (mut theta, mut spread) =
                            (own.theta().clone(), log_sigma2(own).clone());
                        let parameter = if by_theta { &mut theta } else { &mut spread };
                        parameter.value[index] += h;
                        *own = with(own, theta, spread);
                        nll(&parameters).0
                    };
                    let difference = (moved(h) - moved(-h)) / f64::from(2.0 * h);
                    let error = (f64::from(10.0 * m[index]) - difference).abs();
                    // ReLU and pooling have kinks: a difference may step over one
                    assert!(
                        error < 0.05 * f64::from(scale) + 1e-4,
                        "{} theta {by_theta} [{index}]: {} {difference}",
                        after.after,
                        10.0 * m[index]
                    );
                }
            }
        }
    }
}

/// Networks with gates of noise only, before and after weights with and without a posterior.
fn noisy() -> Vec<(NetSpec, Recipe)> {
    let gates = [
        "kind = 'bernoulli'\nrate = 0.3",
        "kind = 'gaussian'\nrate = 0.2",
        "kind = 'gaussian'\nlearn = true\nprior = 'log-uniform'\nkl_weight = 2.0",
    ];
    let recipe = |kind: &str, after: [&str; 2], gate: &str| {
        let gates = after.map(|after| format!("[[method.gate]]\nafter = '{after}'\n{gate}\n"));
        let text = format!(
            "summary = 'test'\n[method]\nkind = '{kind}'\n{}",
            gates.concat()
        );
        Recipe::from_toml(&text, "test").unwrap()
    };
    let cases = gates.into_iter().flat_map(|gate| {
        [
            (spec(), recipe("dense", ["input", "fc1"], gate)),
            (convolutions(), recipe("vbd", ["conv1", "flatten"], gate)),
            (residual::linear(), recipe("dense", ["fc1", "sum1"], gate)),
        ]
    });
    cases.collect()
}

#[test]
fn gates_of_noise_alone_have_equal_gradients_in_both_engines_and_are_gone_at_test() {
    for (spec, recipe) in noisy() {
        let parameters = Parameters::init(&spec, &recipe).unwrap();
        let mut pair = pair(&spec, &recipe, &parameters, 2);
        for step in 0..3 {
            let indices = indices(step);
            let batch = Batch::of(&pair.data.train, &indices);
            let cpu = pair.cpu.step(&batch, &at(step, 1.0)).unwrap();
            let candle = pair.candle.step(&batch, &at(step, 1.0)).unwrap();
            assert!((cpu - candle).abs() < 1e-4 * candle.abs(), "{cpu} {candle}");
            if step == 0 {
                let [a, b] =
                    [&pair.cpu as &dyn Step, &pair.candle].map(|e| e.parameters().unwrap());
                assert_same_gradients(&a, &b);
            }
        }
        let trained = pair.cpu.parameters().unwrap();
        let kl = pair.cpu.kl().unwrap();
        assert!((kl - pair.candle.kl().unwrap()).abs() <= 1e-4 * kl.abs());
        let is_learned = recipe.method.gates[0].keys.contains_key("learn");
        for (own, start) in trained.gates.iter().zip(&parameters.gates) {
            assert!(own.theta().value.iter().all(|&theta| theta == 1.0));
            assert_eq!(
                own.units.state("log_sigma2") != start.units.state("log_sigma2"),
                is_learned
            );
        }
        // without the gates the network tests the same
        let mut plain = recipe.clone();
        plain.method.gates.clear();
        let bare = Parameters::from(trained.layers.clone());
        let (mut engine, data) = cpu(&spec, &plain, &bare, true);
        let evaluated = engine.evaluate(&data.test).unwrap();
        // a first layer that reads a gate computes in another form
        let gated = pair.cpu.evaluate(&data.test).unwrap();
        assert_eq!(gated.wrong(), evaluated.wrong());
        let nlls = [gated, evaluated].map(|evaluation| evaluation.nll().unwrap());
        assert!((nlls[0] - nlls[1]).abs() < 1e-6, "{gated:?} {evaluated:?}");
        let candle = pair.candle.evaluate(&data.test).unwrap();
        assert_eq!(candle.wrong(), evaluated.wrong());
        // and nothing of it dies
        let mut killed = trained.clone();
        let settings = recipe.method.of_weights(&spec).unwrap();
        killed.kill(&settings, &Gate::all(&spec, &recipe.method).unwrap());
        assert_eq!(killed.gates, trained.gates);
    }
}

#[test]
fn a_gate_with_a_key_of_another_kind_is_refused() {
    for (gate, key) in [
        ("rate = 0.5", "method.gate.rate"),
        (
            "kind = 'bernoulli'\nkl_weight = 2.0",
            "method.gate.kl_weight",
        ),
        ("kind = 'bernoulli'\nrate = 1.0", "method.gate.rate"),
        ("kind = 'gaussian'\nrate = 0.0", "method.gate.rate"),
        (
            "kind = 'gaussian'\nprior = 'hierarchical'",
            "method.gate.prior",
        ),
        (
            "kind = 'gaussian'\nlog_alpha_threshold = 1.0",
            "log_alpha_threshold",
        ),
    ] {
        let text = format!(
            "summary = ''\n[method]\nkind = 'dense'\n[[method.gate]]\nafter = 'fc1'\n{gate}"
        );
        let error = Recipe::from_toml(&text, "r").unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}
