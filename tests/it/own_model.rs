//! Weights files, as written by `vbd_prune::save_sparse`, on the command line.

#![expect(clippy::unwrap_used, reason = "tests fail by panics")]

use vbd_net::format::{NamedWeight, PrunedFile, WeightsFile};
use vbd_net::tensor_file::{RawTensor, Tensors};
use vbd_net::{Layout, ValueType};

use super::support::{Lab, has_fields};

/// A lab with a run's pruned file `net.safetensors` and its weights only in `weights.safetensors`.
fn lab() -> Lab {
    let lab = Lab::new();
    let net = std::fs::read_to_string(lab.path("net.toml")).unwrap();
    lab.write("bare.toml", net.replace(", mean = \"image\"", ""));
    lab.succeed("train small.toml --model bare.toml --out run");
    lab.succeed("prune run -o net.safetensors");
    let net = PrunedFile::read(&lab.path("net.safetensors")).unwrap();
    let layers = net.net().layers();
    let weights = layers.iter().map(|layer| NamedWeight {
        name: layer.weight_name(),
        shape: layer.shape.clone(),
        matrix: layer.weight.clone(),
    });
    let biases = layers.iter().map(|layer| {
        let bias = RawTensor::f32(&[layer.bias.len()], &layer.bias);
        (layer.bias_name(), bias)
    });
    let others: Tensors = biases.collect();
    let layout = Some(Layout::Csr);
    let file = WeightsFile::new(weights.collect(), others, Some(3.0), layout, ValueType::F32);
    let path = lab.path("weights.safetensors");
    file.unwrap().write(&path).unwrap();
    lab
}

#[test]
fn weights_files_are_inspected_re_encoded_and_evaluated_with_a_network() {
    let lab = lab();
    let report = lab.json("inspect weights.safetensors");
    has_fields(
        &report,
        &[
            "format",
            "version",
            "model",
            "bytes",
            "dense_bytes",
            "size_ratio",
            "numel",
            "nnz",
            "sparsity",
            "compression_ratio",
            "layers",
        ],
    );
    assert_eq!(
        (&report["format"], &report["layers"][0]["layout"]),
        (&"weights".into(), &"csr".into())
    );
    let of_net = lab.json("inspect net.safetensors");
    assert_eq!(report["nnz"], of_net["nnz"]);
    assert_eq!(
        report["layers"][0]["live_inputs"],
        of_net["layers"][0]["live_inputs"]
    );

    let stored =
        lab.json("prune weights.safetensors -o half.safetensors --layout delta --values f16");
    assert_eq!(stored["layers"][0]["layout"], "delta");
    assert!(stored["bytes"].as_u64() < report["bytes"].as_u64());

    let expected = lab.json("eval net.safetensors --data idx:data");
    let found = lab.json("eval weights.safetensors --data idx:data --model bare.toml");
    assert_eq!(found, expected);
    lab.json("eval half.safetensors --data idx:data --model bare.toml");
    lab.succeed("predict weights.safetensors --model bare.toml --data idx:data --index 0,1");
}

#[test]
fn verbs_that_need_a_network_ask_for_one() {
    let lab = lab();
    for (words, hint) in [
        ("eval weights.safetensors --data idx:data", "--model"),
        (
            "predict weights.safetensors --data idx:data --index 0",
            "--model",
        ),
        ("bench weights.safetensors", "--model"),
        (
            "prune weights.safetensors -o x.safetensors --structured",
            "network",
        ),
        (
            "prune weights.safetensors -o x.safetensors --threshold 1",
            "--threshold",
        ),
        (
            "eval net.safetensors --data idx:data --model bare.toml",
            "--model",
        ),
    ] {
        let refused = lab.vbd(words);
        assert_eq!(refused.code, Some(2), "{words}: {refused:?}");
        assert!(refused.stderr.contains(hint), "{words}: {refused:?}");
    }
    assert!(!lab.path("x.safetensors").exists());
    // a network of other sizes names the tensor
    let net = std::fs::read_to_string(lab.path("bare.toml")).unwrap();
    lab.write(
        "other.toml",
        net.replace("out_features = 16", "out_features = 17"),
    );
    let refused = lab.vbd("eval weights.safetensors --data idx:data --model other.toml");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("fc2"), "{refused:?}");
}
