//! Nets for tests, made without training.
#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

mod draws;

use vbd_net::spec::NetSpec;
use vbd_net::{Origin, Parts, PrunedLayer, PrunedNet, SparseMatrix};

pub(crate) use draws::Draws;

/// Two linear layers over an image, of whose weights about a quarter are there.
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

/// The same with an input for a target.
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
    let spec: NetSpec = serde_json::from_str(json).unwrap();
    let draws = &mut Draws(seed);
    let layers = spec.weights().unwrap().into_iter().map(|weight| {
        let entries: Vec<(usize, f32)> = (0..weight.numel())
            .filter(|_| draws.below(4) == 0)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|place| (place, draws.real() + 1.5e-3))
            .collect();
        let bias = (0..weight.rows()).map(|_| draws.real()).collect();
        let sizes = [weight.rows(), weight.cols()];
        PrunedLayer {
            weight: SparseMatrix::from_places(sizes, entries.len(), entries.into_iter()),
            bias,
            name: weight.layer,
            kind: weight.kind,
            shape: weight.shape,
        }
    });
    let parts = Parts {
        layers: layers.collect(),
        ..Parts::default()
    };
    PrunedNet::new(spec, parts, Origin::default()).unwrap()
}

/// Raw pixels of `n` samples.
pub(crate) fn random_pixels(net: &PrunedNet, n: usize, seed: u64) -> Vec<u8> {
    let draws = &mut Draws(seed);
    let byte = |draws: &mut Draws| u8::try_from(draws.below(256)).unwrap();
    (0..n * net.spec().input_len())
        .map(|_| byte(draws))
        .collect()
}
