//! Batch normalisations are folded when a net is made, and weights may lack a bias.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests fail by panics and compare exactly"
)]

use std::path::Path;

use vbd_net::spec::{LayerSpec, NetSpec};
use vbd_net::{Error, Layout, NetTensors, Origin, PrunedFile, PrunedNet, ValueType};

/// A weight without a bias, a batch normalisation that folds, one that does not, and a consumer of
/// each by name.
const SPEC: &str = r#"{
    "name": "norms", "input": [2], "classes": 2,
    "layer": [
        {"kind": "linear", "name": "fc1", "out_features": 2, "bias": false},
        {"kind": "batch_norm", "name": "bn1", "eps": 0.25},
        {"kind": "relu", "name": "r"},
        {"kind": "batch_norm", "name": "bn2", "eps": 1.0},
        {"kind": "add", "name": "sum", "inputs": ["bn2", "bn1"]},
        {"kind": "linear", "name": "fc2", "out_features": 2}
    ]
}"#;

fn tensors() -> Vec<(&'static str, Vec<f32>)> {
    vec![
        ("fc1.weight", vec![1.0, 0.0, 3.0, 4.0]),
        // sqrt(3.75 + 0.25) = 2 and sqrt(0 + 0.25) = 0.5
        ("bn1.weight", vec![4.0, 1.0]),
        ("bn1.bias", vec![0.5, -1.0]),
        ("bn1.running_mean", vec![1.0, 0.25]),
        ("bn1.running_var", vec![3.75, 0.0]),
        ("bn1.num_batches_tracked", vec![100.0]),
        ("bn2.weight", vec![1.0, 6.0]),
        ("bn2.bias", vec![0.0, 1.0]),
        ("bn2.running_mean", vec![0.0, 1.0]),
        ("bn2.running_var", vec![0.0, 3.0]),
        ("fc2.weight", vec![1.0, 0.0, 0.0, 1.0]),
        ("fc2.bias", vec![0.0, 0.0]),
    ]
}

fn build_with(changes: &[(&'static str, Vec<f32>)]) -> Result<PrunedNet, Error> {
    let mut all = tensors();
    for (name, values) in changes {
        match all.iter_mut().find(|(other, _)| other == name) {
            Some(tensor) => tensor.1.clone_from(values),
            None => all.push((*name, values.clone())),
        }
    }
    PrunedNet::from_parts(NetSpec::from_json(SPEC)?, all)
}

#[test]
fn a_norm_after_a_weight_becomes_part_of_it_and_another_a_scale() {
    let net = build_with(&[]).unwrap();
    let kinds: Vec<&str> = net
        .spec()
        .layers
        .iter()
        .map(|layer| layer.kind().word())
        .collect();
    assert_eq!(kinds, ["linear", "relu", "scale", "add", "linear"]);
    let first = &net.layers()[0];
    assert_eq!(first.weight.to_dense(), [2.0, 0.0, 6.0, 8.0]);
    // (0 - 1) 2 + 0.5 and (0 - 0.25) 2 - 1
    assert_eq!(first.bias, [-1.5, -1.5]);
    assert!(net.graph().weights()[0].has_bias);
    let scale = &net.scales()[0];
    assert_eq!(
        (&scale.name[..], &scale.weight[..]),
        ("bn2", &[1.0, 3.0][..])
    );
    assert_eq!(scale.bias, [0.0, -2.0]);
    let LayerSpec::Add(add) = &net.spec().layers[3] else {
        panic!("{:?}", net.spec().layers)
    };
    assert_eq!(add.inputs, ["bn2", "fc1"], "what read bn1 reads fc1");
    let folded: Vec<_> = net.provenance().folded.iter().collect();
    assert_eq!(folded, [(&"bn1".to_owned(), &"fc1".to_owned())]);
}

#[test]
fn a_factor_of_zero_kills_its_row() {
    let net = build_with(&[("bn1.weight", vec![4.0, 0.0])]).unwrap();
    let first = &net.layers()[0];
    assert_eq!(first.weight.row_ptr(), [0, 1, 1]);
    assert_eq!(first.bias, [-1.5, -1.0]);
}

#[test]
fn a_norm_whose_weight_has_other_consumers_becomes_a_scale() {
    let spec = SPEC.replace(r#"["bn2", "bn1"]"#, r#"["bn2", "bn1", "fc1"]"#);
    let net = PrunedNet::from_parts(NetSpec::from_json(&spec).unwrap(), tensors()).unwrap();
    let names: Vec<&str> = net.scales().iter().map(|scale| &scale.name[..]).collect();
    assert_eq!(names, ["bn1", "bn2"]);
    assert!(
        !net.graph().weights()[0].has_bias,
        "nothing is folded into it"
    );
    assert!(net.provenance().folded.is_empty());
}

#[test]
fn wrong_statistics_are_named() {
    for (name, values, expected) in [
        (
            "bn1.running_var",
            vec![1.0, -0.5],
            "value 1 must be at least 0, got -0.5",
        ),
        (
            "bn1.running_var",
            vec![f32::INFINITY, 1.0],
            "value 0 must be finite",
        ),
        (
            "bn2.running_mean",
            vec![0.0, f32::NAN],
            "value 1 must be finite",
        ),
        ("bn1.running_mean", vec![0.0], "bn1.running_mean"),
        ("fc1.bias", vec![0.0, 0.0], "has no tensor `fc1.bias`"),
    ] {
        let error = build_with(&[(name, values)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
}

#[test]
fn an_overflow_by_folding_names_both_layers() {
    for change in [
        ("bn1.weight", vec![1.0, 3e38]),
        ("bn1.running_mean", vec![-3e38, 0.0]),
    ] {
        let error = build_with(&[change]).unwrap_err().to_string();
        assert!(
            error.contains("`bn1`") && error.contains("`fc1`"),
            "{error}"
        );
    }
    let error = build_with(&[
        ("bn2.weight", vec![1.0, 3e38]),
        ("bn2.running_mean", vec![0.0, 9.0]),
    ]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`bn2`: the shift of unit 1"), "{error}");
}

#[test]
fn a_layer_without_a_bias_cannot_be_given_one() {
    let net = PrunedNet::from_parts(
        NetSpec::from_json(
            &SPEC
                .replace("batch_norm", "scale")
                .replace(r#", "eps": 0.25"#, "")
                .replace(r#", "eps": 1.0"#, ""),
        )
        .unwrap(),
        tensors()
            .into_iter()
            .filter(|(name, _)| !name.contains("running") && !name.contains("tracked")),
    );
    let net = net.unwrap();
    let mut parts = NetTensors {
        layers: net.layers().to_vec(),
        scales: net.scales().to_vec(),
        ..NetTensors::default()
    };
    assert!(PrunedNet::new(net.spec().clone(), parts.clone(), Origin::default()).is_ok());
    parts.layers[0].bias[1] = 0.5;
    let error = PrunedNet::new(net.spec().clone(), parts, Origin::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "network `norms`: `fc1`: has no bias, but bias 1 is 0.5: expected zeros"
    );
}

#[test]
fn a_file_of_many_rows_without_bias_gets_a_bias_and_is_read() {
    let spec = r#"{"name": "wide", "input": [1], "classes": 1, "layer": [
        {"kind": "linear", "name": "fc1", "out_features": 40000, "bias": false},
        {"kind": "linear", "name": "fc2", "input": "input", "out_features": 40000, "bias": false},
        {"kind": "add", "name": "sum", "inputs": ["fc1", "fc2"]},
        {"kind": "linear", "name": "fc3", "out_features": 1, "bias": false}]}"#;
    let mut weights = [vec![0.0; 40000], vec![0.0; 40000], vec![0.0; 40000]];
    for weight in &mut weights {
        weight[39999] = 2.0;
    }
    let names = ["fc1.weight", "fc2.weight", "fc3.weight"];
    let spec = NetSpec::from_json(spec).unwrap();
    let net = PrunedNet::from_parts(spec, names.into_iter().zip(weights)).unwrap();
    let file = PrunedFile::new(&net, Some(Layout::Delta), ValueType::F32).unwrap();
    let read = PrunedFile::from_bytes(&file.to_bytes().unwrap(), Path::new("wide")).unwrap();
    assert_eq!(read, file);
    let weights = read.net().graph().weights().iter();
    let biases: Vec<bool> = weights.map(|own| own.has_bias).collect();
    assert_eq!(biases, [false, true, false], "65536 rows may lack one");
}
