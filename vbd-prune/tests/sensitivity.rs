//! Sensitivity against checkpoints whose recipe was edited by hand.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests fail by panics, and compare exactly"
)]

mod common;

use common::{Draws, checkpoint_of, random_checkpoint, random_samples};
use vbd_core::gate::Gate;
use vbd_core::posterior;
use vbd_core::recipe::{KeyValue, NetToml, Recipe, WeightRule};
use vbd_core::train::Checkpoint;
use vbd_core::weight::{GateParameters, NormParameters, Parameter, Weight};
use vbd_net::spec::NetSpec;
use vbd_prune::sensitivity::{Cut, Measured, sensitivity};
use vbd_prune::{Error, ModelFile, PruneOptions, SparseNet, prune, prune_checkpoint};

const THRESHOLD: &str = "log_alpha_threshold";
const NET: &str = r#"
name = "net"
input = [1, 9, 8]
classes = 5
normalize = { scale = 0.00390625, mean = "image" }
layer = [
    { kind = "conv2d", name = "conv1", out_channels = 6, kernel = 3, bias = false },
    { kind = "batch_norm", name = "bn1" },
    { kind = "relu" },
    { kind = "max_pool2d", kernel = 2 },
    { kind = "flatten" },
    { kind = "linear", name = "fc1", out_features = 20 },
    { kind = "relu" },
    { kind = "linear", name = "fc2", out_features = 5 },
]
"#;
/// Gates on channels, on their features, and on neurons; one method has a posterior, one rule none.
const RECIPE: &str = "summary = 's'\n[method]\nkind = 'vbd'\n\
    [[method.rule]]\nweights = ['fc2']\nkind = 'dense'\n\
    [[method.gate]]\nafter = 'conv1'\nlog_alpha_threshold = 1.0\n\
    [[method.gate]]\nafter = 'flatten'\n\
    [[method.gate]]\nafter = 'fc1'\nkind = 'bernoulli'\n";

/// A weight whose `log_alpha` are spread from -8 to 6.
fn spread(shape: &[usize], draws: &mut Draws) -> Weight {
    let len = shape.iter().product();
    let theta: Vec<f32> = (0..len).map(|_| draws.real() + 1.5e-3).collect();
    let log_sigma2 = theta.iter().map(|theta| {
        let log_alpha = -1.0 + 7.0 * draws.real();
        log_alpha + 2.0 * theta.abs().ln()
    });
    let log_sigma2 = posterior::state(Parameter::new(log_sigma2.collect()));
    Weight::dense(shape, Parameter::new(theta), vec![log_sigma2]).unwrap()
}

fn checkpoint() -> Checkpoint {
    let spec = NetSpec::from_toml(NET, "net").unwrap();
    let graph = spec.resolve().unwrap();
    let draws = &mut Draws(5);
    let mut checkpoint = checkpoint_of(spec.clone(), 3);
    checkpoint.recipe = Recipe::from_toml(RECIPE, "recipe").unwrap();
    for (layer, weight) in checkpoint.parameters.layers.iter_mut().zip(graph.weights()) {
        if layer.name != "fc2" {
            layer.weight = spread(&weight.shape, draws);
        }
        if !weight.has_bias {
            layer.bias = Parameter::new(vec![0.0; weight.rows()]);
        }
    }
    checkpoint.parameters.norms = graph
        .norms()
        .iter()
        .map(|norm| {
            let mut own = NormParameters::new(norm);
            own.running_var = (0..norm.units).map(|_| 1.5 + draws.real()).collect();
            own.running_mean = (0..norm.units).map(|_| draws.real()).collect();
            own
        })
        .collect();
    let gates = Gate::all(&spec, &checkpoint.recipe.method).unwrap();
    checkpoint.parameters.gates = gates
        .iter()
        .map(|gate| {
            let mut own = GateParameters::new(gate);
            if gate.prunes {
                own.units = spread(&[gate.units], draws);
            }
            own
        })
        .collect();
    checkpoint
}

fn opened(checkpoint: &Checkpoint) -> ModelFile {
    ModelFile::Checkpoint {
        path: "c".into(),
        checkpoint: Box::new(checkpoint.clone()),
        bytes: 1,
    }
}

/// The checkpoint with another threshold for one weight or gate in its recipe.
fn edited(checkpoint: &Checkpoint, name: &str, threshold: f32) -> Checkpoint {
    let mut edited = checkpoint.clone();
    let value = KeyValue::Number(f64::from(threshold));
    let method = &mut edited.recipe.method;
    if let Some(after) = name.strip_prefix("gate.") {
        let gate = method.gates.iter_mut().find(|gate| gate.after == after);
        gate.unwrap().keys.insert(THRESHOLD.to_owned(), value);
    } else {
        method.rules.push(WeightRule {
            weights: vec![name.to_owned()],
            keys: [(THRESHOLD.to_owned(), value)].into(),
            ..WeightRule::default()
        });
    }
    edited
}

#[test]
fn each_cut_is_what_pruning_with_that_threshold_in_the_recipe_gives() {
    let checkpoint = checkpoint();
    let samples = random_samples(&checkpoint.spec, 300, 1);
    let measured = sensitivity(&opened(&checkpoint), &samples).unwrap();
    let names: Vec<&str> = measured
        .layers
        .iter()
        .map(|layer| &layer.name[..])
        .collect();
    assert_eq!(names, ["conv1", "fc1", "gate.conv1", "gate.flatten"]);
    let mut losses = std::collections::BTreeSet::new();
    for layer in &measured.layers {
        let trained = if layer.name == "gate.conv1" { 1.0 } else { 3.0 };
        assert_eq!(layer.rows[0].threshold, trained, "{}", layer.name);
        assert_eq!(layer.rows[0].measured, measured.uncut);
        assert!(layer.rows.len() > 2, "{layer:?}");
        let falls =
            |pair: &[Cut]| pair[1].threshold < pair[0].threshold && pair[1].nnz < pair[0].nnz;
        assert!(layer.rows.windows(2).all(falls), "{layer:?}");
        for row in &layer.rows {
            let edited = edited(&checkpoint, &layer.name, row.threshold);
            let net = prune_checkpoint(&edited, None).unwrap();
            let evaluated = SparseNet::new(&net).unwrap().evaluate(&samples).unwrap();
            assert_eq!(row.measured.value(), evaluated.quality().value());
            let expected = 1.0 - row.nnz as f64 / layer.numel as f64;
            assert_eq!(row.sparsity, expected);
            let own = net.layers().iter().find(|own| own.name == layer.name);
            if let Some(own) = own {
                assert_eq!(own.weight.nnz(), row.nnz, "{}", layer.name);
            }
            let Measured::Classes { nll, .. } = row.measured else {
                panic!("{row:?}")
            };
            assert_eq!(Some(nll), evaluated.nll());
            losses.insert(nll.to_bits());
        }
    }
    // Almost every cut changes the outputs.
    assert!(losses.len() > 15, "{}", losses.len());
    let gate = &measured.layers[2];
    assert_eq!(gate.numel, 6);
    assert!(gate.rows.last().unwrap().nnz <= 3, "{gate:?}");
}

#[test]
fn layers_are_cut_to_the_same_sparsities() {
    let checkpoint = checkpoint();
    let samples = random_samples(&checkpoint.spec, 2, 1);
    let measured = sensitivity(&opened(&checkpoint), &samples).unwrap();
    let fc1 = &measured.layers[1];
    for sparsity in [0.7, 0.9, 0.99] {
        let near = fc1
            .rows
            .iter()
            .find(|row| (row.sparsity - sparsity).abs() < 1e-3);
        let own = fc1.rows[0].sparsity;
        assert_eq!(near.is_some(), sparsity > own, "{sparsity} {fc1:?}");
    }
}

#[test]
fn files_without_posteriors_are_refused_and_the_run_is_asked_for() {
    let samples = random_samples(&checkpoint().spec, 2, 1);
    let pruned = prune(&opened(&checkpoint()), &PruneOptions::default()).unwrap();
    let pruned = ModelFile::Pruned {
        path: "small.safetensors".into(),
        file: Box::new(pruned),
    };
    let dense = opened(&random_checkpoint(3));
    for (file, words) in [(pruned, "has no log_sigma2"), (dense, "no weight")] {
        let error = sensitivity(&file, &samples).unwrap_err();
        assert!(matches!(error, Error::NothingToCut { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().unwrap().contains("run or checkpoint"));
    }
}
