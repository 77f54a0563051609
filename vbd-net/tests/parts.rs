//! Nets from dense tensors by name: valid and invalid ones.
#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

use vbd_net::spec::NetSpec;
use vbd_net::{Error, Plan, PrunedNet};

/// A net with every sort of tensor: mean and std images, a selection, a scale and two weights.
const SPEC: &str = r#"{
    "name": "parts", "input": [3], "classes": 2,
    "normalize": {"mean": "image", "std": "image"},
    "layer": [
        {"kind": "select", "name": "kept", "units": 2},
        {"kind": "linear", "name": "fc1", "out_features": 2},
        {"kind": "scale", "name": "factors"},
        {"kind": "relu"},
        {"kind": "linear", "name": "fc2", "out_features": 2}
    ]
}"#;

fn tensors() -> Vec<(&'static str, Vec<f32>)> {
    vec![
        ("normalize.mean", vec![1.0, 2.0, 3.0]),
        ("normalize.std", vec![1.0, 2.0, 4.0]),
        ("kept.index", vec![0.0, 2.0]),
        ("fc1.weight", vec![1.0, 0.0, 3.0, 4.0]),
        ("fc1.bias", vec![0.5, 0.0]),
        ("factors.weight", vec![2.0, 1.0]),
        ("factors.bias", vec![0.0, -1.0]),
        ("fc2.weight", vec![1.0, 0.0, 0.0, 1.0]),
        ("fc2.bias", vec![0.0, 0.25]),
    ]
}

fn build(tensors: Vec<(&'static str, Vec<f32>)>) -> Result<PrunedNet, Error> {
    PrunedNet::from_parts(NetSpec::from_json(SPEC)?, tensors)
}

/// Builds the net with `name` replaced, or removed if `values` is `None`.
fn build_with(name: &str, values: Option<Vec<f32>>) -> Error {
    let mut tensors = tensors();
    let place = tensors
        .iter()
        .position(|(other, _)| *other == name)
        .unwrap();
    match values {
        Some(values) => tensors[place].1 = values,
        None => drop(tensors.remove(place)),
    }
    build(tensors).unwrap_err()
}

#[test]
fn a_net_from_its_parts_computes_what_its_tensors_say() {
    let net = build(tensors()).unwrap();
    assert_eq!(net.layers()[0].weight.nnz(), 3);
    // x = ([5, 9, 11] - mean) / std = [4, 3.5, 2], of which [4, 2] are kept;
    // fc1 = [4 + 0.5, 12 + 8], scaled [9, 19], fc2 = [9, 19.25]
    let outputs = Plan::new(&net)
        .unwrap()
        .session()
        .run(&[5_u8, 9, 11])
        .unwrap()
        .to_vec();
    assert_eq!(outputs, [9.0, 19.25]);
}

#[test]
fn each_missing_tensor_is_named() {
    for (name, _) in tensors() {
        let error = build_with(name, None);
        assert!(matches!(error, Error::AbsentTensor { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("`{name}` is missing")),
            "{error}"
        );
    }
}

#[test]
fn each_wrong_length_is_named() {
    for (name, values) in tensors() {
        let longer = [values, vec![1.0]].concat();
        let error = build_with(name, Some(longer));
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn each_value_that_is_not_finite_is_refused() {
    for (name, mut values) in tensors() {
        values[1] = f32::NAN;
        let error = build_with(name, Some(values));
        assert!(matches!(error, Error::Part { .. }), "{error}");
    }
}

#[test]
fn a_tensor_of_another_net_is_refused() {
    let mut tensors = tensors();
    tensors.push(("fc3.weight", vec![1.0]));
    let error = build(tensors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "network `parts`: has no tensor `fc3.weight`"
    );
}

#[test]
fn an_index_that_does_not_increase_or_is_no_whole_number_is_refused() {
    for index in [[2.0, 0.0], [0.0, 0.5], [0.0, 3.0], [-1.0, 2.0]] {
        let error = build_with("kept.index", Some(index.to_vec())).to_string();
        assert!(
            error.contains("kept.index") && error.contains("increasing"),
            "{index:?}: {error}"
        );
    }
}

#[test]
fn a_std_that_is_not_positive_is_refused() {
    let error = build_with("normalize.std", Some(vec![1.0, 0.0, 1.0]));
    assert_eq!(
        error.to_string(),
        "network `parts`: tensor `normalize.std`: value 1 must be positive, got 0"
    );
}
