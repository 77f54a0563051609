//! Random checkpoints for tests: several architectures, rules of normalisation, methods and forms.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "each test uses a part; what it draws is small"
)]

use vbd_core::gate::Gate;
use vbd_core::method::vbd;
use vbd_core::posterior;
use vbd_core::recipe::{MethodKind, NetToml, Recipe};
use vbd_core::train::{Checkpoint, DataInfo, Progress};
use vbd_core::weight::{
    GateParameters, LayerParameters, NormParameters, Parameter, Parameters, Weight,
};
use vbd_net::PrunedNet;
use vbd_net::data::Samples;
use vbd_net::spec::{NetSpec, Normalizer};

#[path = "../../../vbd-net/tests/common/draws.rs"]
mod draws;

#[path = "../../../vbd-net/tests/common/nets.rs"]
pub(crate) mod nets;

#[path = "../../../vbd-core/tests/support/deployed.rs"]
pub(crate) mod deployed;
#[path = "../../../vbd-core/tests/support/lines.rs"]
mod lines;
pub(crate) mod residual;

pub(crate) use draws::Draws;

/// A net of every kind of layer, with batch normalisations folded.
pub(crate) fn net_of_all_kinds(seed: u64) -> PrunedNet {
    let spec = nets::random_spec(seed, nets::Kinds::All);
    let tensors = nets::random_tensors(&spec, seed);
    PrunedNet::from_parts(spec, tensors).unwrap()
}

/// The network of a case.
pub(crate) fn random_spec(seed: u64) -> NetSpec {
    let draws = &mut Draws(seed);
    let (channels, side) = (1 + draws.below(3), 6 + draws.below(5));
    let rule = match draws.below(5) {
        0 => r#"{ scale = 0.00390625, mean = "image" }"#.to_owned(),
        1 => r#"{ scale = 0.0078125, mean = "image", std = "image" }"#.to_owned(),
        2 => "{ scale = 0.00390625 }".to_owned(),
        3 => format!(
            "{{ scale = 0.01, mean = {:?}, std = 0.5 }}",
            vec![0.25; channels]
        ),
        _ => r#"{ scale = 0.01, mean = 0.3, std = "image" }"#.to_owned(),
    };
    let layer = |text: &str| format!("[[layer]]\n{}\n", text.replace(", ", "\n"));
    let out = |draws: &mut Draws| 1 + draws.below(12);
    let mut text = format!(
        "name = 'net-{seed}'\ninput = [{channels}, {side}, {side}]\nclasses = 4\nnormalize = {rule}\n"
    );
    if seed.is_multiple_of(2) {
        text += &layer("kind = 'flatten'");
        text += &layer(&format!(
            "kind = 'linear', name = 'fc1', out_features = {}",
            out(draws)
        ));
        text += &layer("kind = 'relu'");
    } else {
        let (stride, padding) = (1 + draws.below(2), draws.below(2));
        text += &layer(&format!(
            "kind = 'conv2d', name = 'conv1', out_channels = {}, kernel = 3, stride = {stride}, padding = {padding}",
            out(draws)
        ));
        text += &layer("kind = 'relu'");
        text += &layer("kind = 'max_pool2d', kernel = 2");
        text += &layer(&format!(
            "kind = 'conv2d', name = 'conv2', out_channels = {}, kernel = 1",
            out(draws)
        ));
        text += &layer("kind = 'flatten'");
        text += &layer("kind = 'relu'");
    }
    text += &layer("kind = 'linear', name = 'out', out_features = 4");
    NetSpec::from_toml(&text, "random").unwrap()
}

/// Images for a network.
pub(crate) fn random_samples(spec: &NetSpec, n: usize, seed: u64) -> Samples {
    let draws = &mut Draws(seed);
    let len = spec.input_len();
    let images: Vec<u8> = (0..n * len).map(|_| draws.next() as u8).collect();
    let labels = (0..n)
        .map(|_| draws.below(spec.output_len()) as u8)
        .collect();
    Samples::new(images, labels, len).unwrap()
}

/// A checkpoint of [`random_spec`]: `vbd`, or every fourth time `dense`; compact in every second.
pub(crate) fn random_checkpoint(seed: u64) -> Checkpoint {
    checkpoint_of(random_spec(seed), seed)
}

/// A weight of a checkpoint's method of which only zeros are pruned.
pub(crate) fn certain_weight(recipe: &Recipe, shape: &[usize], theta: Parameter) -> Weight {
    let certain = || posterior::state(Parameter::new(vec![-40.0; theta.value.len()]));
    let is_plain = recipe.method.kind == MethodKind::Dense;
    let states = (!is_plain).then(certain).into_iter().collect();
    Weight::dense(shape, theta, states).unwrap()
}

/// A checkpoint with random parameters.
pub(crate) fn checkpoint_of(spec: NetSpec, seed: u64) -> Checkpoint {
    let draws = &mut Draws(seed ^ 0xABCD);
    let dense = seed % 4 == 3;
    let keep = [1, 2, 10, 60, 1_000_000][draws.below(5)];
    let layers = spec.weights().unwrap().into_iter().map(|weight| {
        let numel = weight.numel();
        let kept: Vec<bool> = (0..numel).map(|_| draws.below(keep) == 0).collect();
        let theta: Vec<f32> = kept
            .iter()
            .map(|&kept| {
                if dense && !kept {
                    0.0
                } else {
                    draws.real() + 1.5e-3
                }
            })
            .collect();
        let log_sigma2 = kept
            .iter()
            .map(|&kept| if kept { -20.0 } else { 15.0 })
            .collect();
        let states = (!dense).then(|| posterior::state(Parameter::new(log_sigma2)));
        let states = states.into_iter().collect();
        let theta = Parameter::new(theta);
        let mut variational = Weight::dense(&weight.shape, theta, states).unwrap();
        if seed % 3 == 1 {
            if !dense {
                variational.kill(&*vbd(3.0));
            }
            variational = variational.to_compact();
        }
        let mut bias = |_| if weight.has_bias { draws.real() } else { 0.0 };
        let bias = Parameter::new((0..weight.rows()).map(&mut bias).collect());
        LayerParameters {
            name: weight.layer,
            weight: variational,
            bias,
        }
    });
    let mut parameters = Parameters::from(layers.collect::<Vec<_>>());
    let draws = &mut Draws(seed ^ 0x9022);
    let graph = spec.resolve().unwrap();
    let norms = graph.norms().iter().map(|norm| {
        let mut own = NormParameters::new(norm);
        let values = [
            &mut own.weight.value,
            &mut own.bias.value,
            &mut own.running_mean,
        ];
        for value in values.into_iter().flatten().chain(&mut own.running_var) {
            *value = 0.75 + 0.5 * draws.real();
        }
        own
    });
    parameters.norms = norms.collect();
    let kind = if dense { "dense" } else { "vbd" };
    let recipe = format!(
        "summary = 'a random net'\n[method]\nkind = '{kind}'\n[train]\nseed = {}",
        seed >> 1
    );
    let normalizer = Normalizer::measure(&spec, &random_samples(&spec, 10, seed));
    Checkpoint {
        recipe: Recipe::from_toml(&recipe, "random").unwrap(),
        progress: Progress {
            epoch: 7,
            test_error: Some(0.0175),
            ..Progress::default()
        },
        data: DataInfo {
            name: "digits".to_owned(),
            n_train: 60_000,
            crc32: 7,
        },
        normalizer,
        parameters,
        keep_every: 5,
        start: None,
        spec,
    }
}

/// A checkpoint of [`random_spec`] with a gate wherever there may be one: theta of both signs, and all
/// units, none or some under their threshold.
pub(crate) fn gated_checkpoint(seed: u64) -> Checkpoint {
    let mut checkpoint = random_checkpoint(seed | 3);
    let is_linear = seed & 1 == 0;
    if is_linear {
        checkpoint = checkpoint_of(random_spec(seed & !1), seed | 3);
    }
    let after: &[&str] = if is_linear {
        &["input", "fc1"]
    } else {
        &["input", "conv1", "flatten"]
    };
    with_gates(checkpoint, after, seed)
}

/// The checkpoint with gates and with all entries of its weights.
pub(crate) fn with_gates(mut checkpoint: Checkpoint, after: &[&str], seed: u64) -> Checkpoint {
    let draws = &mut Draws(seed ^ 0x6A7E);
    // weights with all entries: entries are only removed with their units
    for layer in &mut checkpoint.parameters.layers {
        let theta: Vec<f32> = (0..layer.weight.numel())
            .map(|_| draws.real() + 1.5e-3)
            .collect();
        let shape = layer.weight.shape().to_vec();
        layer.weight = Weight::dense(&shape, Parameter::new(theta), Vec::new()).unwrap();
    }
    let mut recipe = "summary = 'gates'\n[method]\nkind = 'dense'\n".to_owned();
    for after in after {
        let gate = "[[method.gate]]\nlog_alpha_threshold = 1.0\nafter = ";
        recipe.extend([gate, "'", after, "'\n"]);
    }
    checkpoint.recipe = Recipe::from_toml(&recipe, "gates").unwrap();
    let gates = Gate::all(&checkpoint.spec, &checkpoint.recipe.method).unwrap();
    let keep = [1, 2, 3, 1_000_000][draws.below(4)];
    checkpoint.parameters.gates = gates
        .iter()
        .map(|gate| {
            let theta: Vec<f32> = (0..gate.units)
                .map(|_| 2.0 * draws.real() + 1.5e-3)
                .collect();
            let log_sigma2 = theta.iter().map(|theta| {
                let log_alpha = if draws.below(keep) == 0 { -2.0 } else { 2.0 };
                log_alpha + 2.0 * theta.abs().ln()
            });
            let log_sigma2 = posterior::state(Parameter::new(log_sigma2.collect()));
            let theta = Parameter::new(theta);
            GateParameters {
                after: gate.after.clone(),
                units: Weight::dense(&[gate.units], theta, vec![log_sigma2]).unwrap(),
            }
        })
        .collect();
    checkpoint
}
