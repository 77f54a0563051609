//! `vbd predict FILE ARRAY.npy`: numpy arrays as input.

use std::fs;

use serde_json::Value;

use super::support::{Lab, assert_told, json_lines};

/// A numpy array as numpy writes it.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), values].concat()
}

/// Pixels of the first three test images.
fn pixels(lab: &Lab) -> Vec<u8> {
    let file = fs::read(lab.path("data/t10k-images-idx3-ubyte")).unwrap();
    file[16..16 + 3 * 64].to_vec()
}

/// The answers without names and labels.
fn answers(lab: &Lab, words: &str) -> Vec<Value> {
    let mut lines = json_lines(&lab.succeed(&format!("predict {words} --json")));
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        line.remove("input");
        line.remove("label");
    }
    lines
}

#[test]
fn a_network_of_features_predicts_arrays_of_bytes_and_of_floats() {
    let lab = Lab::new();
    let net = fs::read_to_string(lab.path("net.toml")).unwrap();
    let net = net.replace("input = [1, 8, 8]", "input = [64]");
    lab.write(
        "net.toml",
        net.replacen("[[layer]]\nkind = \"flatten\"\n", "", 1),
    );
    lab.succeed("train small.toml --out run");
    lab.succeed("prune run -o features.safetensors");
    let pixels = pixels(&lab);
    let floats: Vec<u8> = pixels
        .iter()
        .flat_map(|&p| f32::from(p).to_le_bytes())
        .collect();
    lab.write("bytes.npy", npy("|u1", "(3, 64)", &pixels));
    lab.write("floats.npy", npy("<f4", "(3, 64)", &floats));
    lab.write("one.NPY", npy("|u1", "(64,)", &pixels[..64]));
    let expected = answers(&lab, "features.safetensors --index 0,1,2");
    assert_eq!(expected.len(), 3);
    for file in ["features.safetensors", "run"] {
        let found = answers(&lab, &format!("{file} bytes.npy floats.npy one.NPY"));
        assert_eq!(found[..3], expected);
        assert_eq!(found[3..6], expected);
        assert_eq!(found[6..], expected[..1]);
    }
    let lines = lab.succeed("predict run bytes.npy one.NPY --json");
    let names: Vec<Value> = json_lines(&lines)
        .iter()
        .map(|l| l["input"].clone())
        .collect();
    assert_eq!(
        names,
        ["bytes.npy[0]", "bytes.npy[1]", "bytes.npy[2]", "one.NPY"]
    );

    // What is wrong with one is told, and the others are predicted.
    lab.write("wide.npy", npy("|u1", "(3, 63)", &pixels[..189]));
    let run = lab.vbd("predict run wide.npy one.NPY");
    assert_told(&run, 1, &["wide.npy", "shape is [3, 63]: expected [64]"]);
    assert!(run.stdout.contains("one.NPY"), "{run:?}");
    assert_told(&lab.vbd("predict run one.NPY --invert"), 2, &["--invert"]);
    assert_told(
        &lab.vbd("predict run one.NPY --show"),
        1,
        &["[64] are no images"],
    );
}

#[test]
fn images_are_predicted_from_arrays_and_an_autoencoder_scores_each_sample() {
    let lab = Lab::new();
    let net = fs::read_to_string(lab.path("net.toml")).unwrap();
    let net = net.replace("classes = 4", "loss = 'mse'\ntarget = 'input'");
    lab.write(
        "auto.toml",
        net.replace("out_features = 4", "out_features = 64"),
    );
    lab.succeed("train dense --model auto.toml --data idx:data --epochs 2 --out run");
    let pixels = pixels(&lab);
    lab.write("images.npy", npy("|u1", "(3, 8, 8)", &pixels));
    lab.write("flat.npy", npy("|u1", "(3, 64)", &pixels));
    lab.write("image.npy", npy("|u1", "(1, 8, 8)", &pixels[..64]));
    let expected = answers(&lab, "run --index 0,1,2");
    let losses: Vec<f64> = expected
        .iter()
        .map(|l| l["loss"].as_f64().unwrap())
        .collect();
    assert!(
        losses
            .windows(2)
            .all(|pair| (pair[0] - pair[1]).abs() > 1e-6),
        "{losses:?}"
    );
    assert_eq!(answers(&lab, "run images.npy"), expected);
    assert_eq!(answers(&lab, "run flat.npy"), expected);
    assert_eq!(answers(&lab, "run image.npy"), expected[..1]);
    let table = lab.succeed("predict run images.npy");
    assert!(
        table.contains("images.npy[2]") && table.contains("loss"),
        "{table}"
    );
    let shown = lab.succeed("predict run image.npy --show");
    assert!(
        shown.contains("-  image.npy") && shown.contains("loss"),
        "{shown}"
    );
}
