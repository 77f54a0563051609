//! One alpha for many weights, in both engines.
#![expect(clippy::unwrap_used, reason = "tests fail by panics")]

mod support;

use support::engine::{
    THETA_TOLERANCE, assert_close, assert_same_gradients, at, convolutions, indices, pair, spec,
};
use support::residual;
use vbd_core::recipe::Recipe;
use vbd_core::step::{Batch, Step};
use vbd_core::weight::Parameters;
use vbd_net::spec::NetSpec;

fn recipe(method: &str) -> Recipe {
    Recipe::from_toml(&format!("summary = 'test'\n[method]\n{method}\n"), "test").unwrap()
}

/// Every way to share an alpha, beside weights with alphas of their own and plain ones.
const METHODS: [&str; 10] = [
    "kind = 'vbd'\nalpha = 'row'\nrate = 0.2",
    "kind = 'vbd'\nalpha = 'layer'\nkl_weight = 3.0",
    "kind = 'vd'\nalpha = 'row'",
    "kind = 'vd'\nalpha = 'layer'\nrate = 0.3\nlearn = false",
    "kind = 'vd'\nalpha = 'layer'\nkl = 'polynomial'\nrate = 0.4",
    "kind = 'vd'\nalpha = 'row'\nkl = 'polynomial'\nrate = 0.1",
    "kind = 'vd'\nkl = 'polynomial'\nrate = 0.3",
    "kind = 'fast'\nrate = 0.4",
    "kind = 'fast'\nlearn = true",
    "kind = 'vbd'\n[[method.rule]]\nweights = ['fc1']\nalpha = 'row'\nkl_weight = 2.0\n\
     [[method.rule]]\nweights = ['fc2']\nkind = 'dense'",
];

fn cases() -> Vec<(NetSpec, Recipe)> {
    let nets = [
        spec(),
        convolutions(),
        residual::linear(),
        residual::convolutions(),
    ];
    let of = |net: &NetSpec| METHODS.map(|method| (net.clone(), recipe(method)));
    let cases = nets.iter().flat_map(of);
    cases
        .filter(|(net, recipe)| recipe.method.of_weights(net).is_ok())
        .collect()
}

#[test]
fn both_engines_give_equal_gradients_and_equal_steps() {
    let cases = cases();
    assert!(cases.len() >= 4 * 6 + 2, "{}", cases.len());
    for (spec, recipe) in cases {
        for kl_scale in [0.0, 0.3, 1.0] {
            let parameters = Parameters::init(&spec, &recipe).unwrap();
            let mut pair = pair(&spec, &recipe, &parameters, 2);
            for step in 0..6 {
                let indices = indices(step);
                let batch = Batch::of(&pair.data.train, &indices);
                let found = pair.cpu.step(&batch, &at(step, kl_scale)).unwrap();
                let expected = pair.candle.step(&batch, &at(step, kl_scale)).unwrap();
                assert!(
                    (found - expected).abs() < 1e-4 * expected,
                    "{found} {expected}"
                );
                let [a, b] = [&pair.cpu as &dyn Step, &pair.candle]
                    .map(|engine| engine.parameters().unwrap());
                if step == 0 {
                    assert_same_gradients(&a, &b);
                }
                for (a, b) in a.layers.iter().zip(&b.layers) {
                    let [x, y] = [a, b].map(|layer| &layer.weight.theta().value);
                    assert_close(x, y, THETA_TOLERANCE, &a.name);
                }
            }
            let (a, b) = (pair.cpu.kl().unwrap(), pair.candle.kl().unwrap());
            assert!((a - b).abs() <= 1e-4 * b.abs(), "{a} {b}");
            let a = pair.cpu.evaluate(&pair.data.test).unwrap();
            let b = pair.candle.evaluate(&pair.data.test).unwrap();
            assert!((a.nll().unwrap() - b.nll().unwrap()).abs() < 1e-4 * b.nll().unwrap());
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for (spec, recipe) in cases() {
        let parameters = Parameters::init(&spec, &recipe).unwrap();
        let run = |threads| {
            let mut pair = pair(&spec, &recipe, &parameters, threads);
            for step in 0..4 {
                let indices = indices(step);
                let batch = Batch::of(&pair.data.train, &indices);
                pair.cpu.step(&batch, &at(step, 1.0)).unwrap();
            }
            pair.cpu.parameters().unwrap()
        };
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn a_learned_alpha_changes_and_prunes_nothing() {
    let (spec, recipe) = (spec(), recipe(METHODS[0]));
    let parameters = Parameters::init(&spec, &recipe).unwrap();
    let mut pair = pair(&spec, &recipe, &parameters, 2);
    for step in 0..20 {
        let indices = indices(step);
        let batch = Batch::of(&pair.data.train, &indices);
        pair.cpu.step(&batch, &at(step, 1.0)).unwrap();
    }
    let mut after = pair.cpu.parameters().unwrap();
    let rows = |parameters: &Parameters| {
        let state = parameters.layers[0].weight.state("log_alpha");
        state.unwrap().value.clone()
    };
    assert_eq!(rows(&after).len(), 37);
    assert!(rows(&after) != rows(&parameters) && (rows(&after)[0] - rows(&after)[1]).abs() > 0.0);
    let settings = recipe.method.of_weights(&spec).unwrap();
    let before = after.clone();
    after.kill(&settings, &[]);
    assert_eq!(after, before);
    after.prune(&settings, &[]);
    assert_eq!(after, before);
}
