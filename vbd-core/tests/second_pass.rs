//! A second pass after a changed mask, in both engines.
#![expect(clippy::unwrap_used, reason = "tests fail by panics")]

mod support;

use support::engine::{Pair, assert_close, at, convolutions, indices, pair, spec};
use support::{residual, uniform};
use vbd_core::recipe::Recipe;
use vbd_core::step::{Batch, Step};
use vbd_core::weight::Parameters;
use vbd_net::graph::NodeId;
use vbd_net::spec::NetSpec;

/// Noise before, at and after the node where a pass starts.
fn recipe(after: &str) -> Recipe {
    let text = format!(
        "summary = 'test'\n[method]\nkind = 'vbd'\nlog_sigma2_init = -4.0\n\
         [[method.gate]]\nafter = '{after}'\nkind = 'bernoulli'\nrate = 0.4\n"
    );
    Recipe::from_toml(&text, "test").unwrap()
}

fn cases() -> Vec<(NetSpec, &'static str)> {
    vec![
        (spec(), "fc1"),
        (spec(), "fc2"),
        (convolutions(), "conv2"),
        (convolutions(), "fc1"),
        (residual::linear(), "sum1"),
    ]
}

fn node(spec: &NetSpec, name: &str) -> NodeId {
    let graph = spec.resolve().unwrap();
    let mut nodes = graph.nodes();
    nodes.find(|(_, node)| node.label == name).unwrap().0
}

/// Values of the node before the gate `after`.
fn len(spec: &NetSpec, recipe: &Recipe) -> usize {
    let gates = vbd_core::gate::Gate::all(spec, &recipe.method).unwrap();
    gates[0].units * gates[0].area
}

fn engines(pair: &mut Pair) -> [&mut dyn Step; 2] {
    [&mut pair.cpu, &mut pair.candle]
}

#[test]
fn both_engines_continue_from_a_node_with_the_same_noise() {
    for (spec, after) in cases() {
        let recipe = recipe(after);
        let parameters = Parameters::init(&spec, &recipe).unwrap();
        let mut pair = pair(&spec, &recipe, &parameters, 2);
        let indices = indices(0);
        let batch = Batch::of(&pair.data.train, &indices);
        let (node, at) = (node(&spec, after), at(3, 1.0));
        let [a, b] = [7, 8].map(|seed| uniform(seed, indices.len() * len(&spec, &recipe)));
        let mut found = Vec::new();
        for engine in engines(&mut pair) {
            let before = engine.parameters().unwrap();
            let whole = engine.outputs(&batch, &at).unwrap();
            let with_a = engine.outputs_from(node, &a, &at).unwrap();
            let with_b = engine.outputs_from(node, &b, &at).unwrap();
            // nothing of the previous pass is left, and nothing before the node has changed
            assert_eq!(engine.outputs_from(node, &a, &at).unwrap(), with_a);
            assert!(with_a != with_b && with_a != whole);
            assert_eq!(engine.outputs(&batch, &at).unwrap(), whole);
            assert_eq!(engine.parameters().unwrap(), before);
            found.push([whole, with_a, with_b]);
        }
        for (cpu, candle) in found[0].iter().zip(&found[1]) {
            assert_close(cpu, candle, 2e-5, after);
        }
    }
}

#[test]
fn the_values_of_a_pass_reproduce_its_outputs() {
    // The last layer's inputs are found by asking for the outputs of a net that ends there.
    let (spec, recipe) = (spec(), recipe("fc1"));
    let parameters = Parameters::init(&spec, &recipe).unwrap();
    let mut pair = pair(&spec, &recipe, &parameters, 2);
    let indices = indices(0);
    let batch = Batch::of(&pair.data.train, &indices);
    let (at, last) = (at(3, 1.0), node(&spec, "fc3"));
    for engine in engines(&mut pair) {
        let whole = engine.outputs(&batch, &at).unwrap();
        assert_eq!(engine.outputs_from(last, &whole, &at).unwrap(), whole);
    }
}

#[test]
fn an_impossible_pass_is_refused() {
    let (spec, recipe) = (spec(), recipe("fc1"));
    let parameters = Parameters::init(&spec, &recipe).unwrap();
    let mut pair = pair(&spec, &recipe, &parameters, 1);
    let indices = indices(0);
    let batch = Batch::of(&pair.data.train, &indices);
    let (at, node) = (at(0, 1.0), node(&spec, "fc1"));
    let values = vec![0.5; indices.len() * len(&spec, &recipe)];
    for engine in engines(&mut pair) {
        assert!(engine.outputs_from(node, &values, &at).is_err(), "no batch");
        engine.outputs(&batch, &at).unwrap();
        assert!(engine.outputs_from(node, &values, &at).is_ok());
        assert!(engine.outputs_from(node, &values[1..], &at).is_err());
        let input = engine.outputs_from(NodeId::INPUT, &values, &at);
        assert!(input.unwrap_err().to_string().contains("another batch"));
        engine.step(&batch, &at).unwrap();
        let after = engine.outputs_from(node, &values, &at);
        assert!(after.is_err(), "the step changed the parameters");
    }
}
