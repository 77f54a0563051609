//! Nets for tests, made without training.
#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

mod draws;

use vbd_net::PrunedNet;
use vbd_net::spec::NetSpec;

pub(crate) use draws::Draws;

/// Two linear layers over an image with about a quarter of their weights.
pub(crate) fn random_net(seed: u64) -> PrunedNet {
    let json = r#"{
        "name": "random", "input": [1, 6, 5], "classes": 4,
        "normalize": {"scale": 0.00390625, "mean": 0.2},
        "layer": [
            {"kind": "flatten"},
            {"kind": "linear", "name": "fc1", "out_features": 7},
            {"kind": "relu"},
            {"kind": "linear", "name": "fc2", "out_features": 4}
        ]
    }"#;
    net_of(json, seed)
}

/// The same network as an autoencoder.
pub(crate) fn random_autoencoder(seed: u64) -> PrunedNet {
    let json = r#"{
        "name": "auto", "input": [1, 6, 5], "loss": "mse", "target": "input",
        "normalize": {"scale": 0.00390625, "mean": 0.2},
        "layer": [
            {"kind": "linear", "name": "fc1", "out_features": 7},
            {"kind": "relu"},
            {"kind": "linear", "name": "fc2", "out_features": 30}
        ]
    }"#;
    net_of(json, seed)
}

fn net_of(json: &str, seed: u64) -> PrunedNet {
    let spec = NetSpec::from_json(json).unwrap();
    let draws = &mut Draws(seed);
    let mut tensors = Vec::new();
    for weight in spec.weights().unwrap() {
        let mut values = vec![0.0; weight.numel()];
        let kept: Vec<usize> = (0..values.len()).filter(|_| draws.below(4) == 0).collect();
        for place in kept {
            values[place] = draws.real() + 1.5e-3;
        }
        let bias = (0..weight.rows()).map(|_| draws.real()).collect();
        tensors.push((format!("{}.weight", weight.layer), values));
        tensors.push((format!("{}.bias", weight.layer), bias));
    }
    PrunedNet::from_parts(spec, tensors).unwrap()
}

/// Raw pixels of `n` samples.
pub(crate) fn random_pixels(net: &PrunedNet, n: usize, seed: u64) -> Vec<u8> {
    let draws = &mut Draws(seed);
    let byte = |draws: &mut Draws| u8::try_from(draws.below(256)).unwrap();
    (0..n * net.spec().input_len())
        .map(|_| byte(draws))
        .collect()
}
