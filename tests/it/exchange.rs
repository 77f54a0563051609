//! `vbd export` and `vbd import`: networks for PyTorch, and from it.

use std::fs;

use safetensors::SafeTensors;
use serde_json::json;
use vbd_net::tensor_file::{self, RawTensor, Tensors};

use super::support::{Lab, NORMALISED, assert_told, values, write_state_dict};

/// The network of `NORMALISED` with its batch normalisations folded.
fn folded() -> String {
    let lines = NORMALISED
        .lines()
        .filter(|line| !line.contains("batch_norm"));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace(", bias = false", "")
}

/// The tensors of an exported file, whose metadata are those that PyTorch's loaders expect.
fn exported(lab: &Lab, file: &str) -> Tensors {
    let bytes = fs::read(lab.path(file)).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    let entries: Vec<_> = metadata.iter().collect();
    assert_eq!(format!("{entries:?}"), r#"[("format", "pt")]"#);
    tensor_file::tensors_of(&bytes).unwrap()
}

/// Numbers of a tensor of u8, u16, i32 or i64.
fn numbers(raw: &RawTensor) -> Vec<usize> {
    let size = raw.bytes.len() / raw.shape.iter().product::<usize>().max(1);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| (sum << 8) | usize::from(byte))
    };
    raw.bytes.chunks_exact(size.max(1)).map(number).collect()
}

fn trained(lab: &Lab) {
    lab.write("normalised.toml", NORMALISED);
    lab.succeed(
        "train vbd --model normalised.toml --data idx:data --epochs 12 --batch-size 20 --lr 1e-2 \
         --out run",
    );
    lab.succeed("prune run -o pruned.safetensors");
}

#[test]
fn a_network_goes_out_as_dense_tensors_and_comes_back_with_the_same_answers() {
    let lab = Lab::new();
    trained(&lab);
    lab.write("folded.toml", folded());
    let told = lab.json("export pruned.safetensors --to torch -o torch.safetensors");
    let bytes = fs::metadata(lab.path("torch.safetensors")).unwrap().len();
    assert_eq!(
        told,
        json!({"to": "torch", "path": "torch.safetensors", "bytes": bytes})
    );
    let tensors = exported(&lab, "torch.safetensors");
    let shapes: Vec<_> = tensors
        .iter()
        .map(|(name, raw)| (&name[..], raw.shape.clone()))
        .collect();
    assert_eq!(
        shapes,
        [
            ("conv1.bias", vec![6]),
            ("conv1.weight", vec![6, 1, 3, 3]),
            ("fc1.bias", vec![16]),
            ("fc1.weight", vec![16, 216]),
            ("fc2.bias", vec![4]),
            ("fc2.weight", vec![4, 16]),
        ]
    );
    lab.succeed("import torch.safetensors --spec folded.toml -o back.safetensors");
    let wrong = |file: &str| lab.json(&format!("eval {file} --data idx:data"))["wrong"].clone();
    assert_eq!(wrong("back.safetensors"), wrong("pruned.safetensors"));
    let nnz = |file: &str| lab.json(&format!("inspect {file}"))["nnz"].clone();
    assert_eq!(nnz("back.safetensors"), nnz("pruned.safetensors"));
    // A run's net is the one that is pruned from it.
    lab.succeed("export run --to torch -o of-run.safetensors");
    assert_eq!(
        fs::read(lab.path("of-run.safetensors")).unwrap(),
        fs::read(lab.path("torch.safetensors")).unwrap()
    );
}

#[test]
fn sparse_exports_have_every_weight_in_their_layout() {
    let lab = Lab::new();
    trained(&lab);
    lab.succeed("export pruned.safetensors --to torch -o torch.safetensors");
    lab.succeed("export pruned.safetensors --to torch-csr -o csr.safetensors");
    lab.succeed("export pruned.safetensors --to bitmask -o bitmask.safetensors");
    let [dense, csr, bitmask] =
        ["torch", "csr", "bitmask"].map(|file| exported(&lab, &format!("{file}.safetensors")));
    assert_eq!(csr.len(), 3 * 3 + 3);
    assert_eq!(bitmask.len(), 3 * 4 + 3);
    for name in ["conv1.weight", "fc1.weight", "fc2.weight"] {
        let values = dense[name].to_f32().unwrap();
        let rows = dense[name].shape[0];
        let columns = values.len() / rows;
        let part = |file: &Tensors, suffix: &str| file[&format!("{name}{suffix}")].clone();

        let mut found = vec![0.0; values.len()];
        let starts = numbers(&part(&csr, ".crow_indices"));
        let entries = numbers(&part(&csr, ".col_indices"));
        let stored = part(&csr, ".values").to_f32().unwrap();
        for row in 0..rows {
            for at in starts[row]..starts[row + 1] {
                found[row * columns + entries[at]] = stored[at];
            }
        }
        assert_eq!(found, values, "csr {name}");

        let mut found = vec![0.0; values.len()];
        assert_eq!(numbers(&part(&bitmask, ".shape")), [rows, columns]);
        let stored = part(&bitmask, ".compressed").to_f32().unwrap();
        let bits = numbers(&part(&bitmask, ".bitmask"));
        let mut next = 0;
        for row in 0..rows {
            assert_eq!(numbers(&part(&bitmask, ".row_offsets"))[row], next);
            for column in 0..columns {
                if bits[row * columns.div_ceil(8) + column / 8] >> (column % 8) & 1 == 1 {
                    found[row * columns + column] = stored[next];
                    next += 1;
                }
            }
        }
        assert_eq!(found, values, "bitmask {name}");
    }
}

#[test]
fn a_network_of_pytorch_comes_in_with_its_norms_and_is_sparsified() {
    let lab = Lab::new();
    lab.write("normalised.toml", NORMALISED);
    lab.succeed("train dense --model normalised.toml --data idx:data --epochs 4 --out dense");
    let mut tensors = Tensors::new();
    for (name, raw) in values(&lab, "dense") {
        let name = name
            .replace("conv1", "net.features.0")
            .replace("fc2", "net.head");
        tensors.insert(name, raw);
    }
    write_state_dict(&lab, "theirs.safetensors", &tensors);
    let import = "import theirs.safetensors --spec normalised.toml -o ours.safetensors";
    let renames = "--rename net.features.0=conv1 --rename net.head=fc2";
    let report = lab.json(&format!("{import} {renames}"));
    assert_eq!(report["model"], "normalised");
    let wrong = |file: &str| lab.json(&format!("eval {file} --data idx:data"))["wrong"].clone();
    assert_eq!(wrong("ours.safetensors"), wrong("dense"));

    lab.succeed(
        "train vbd --from ours.safetensors --data idx:data --epochs 6 --batch-size 20 --lr 1e-2 --out run",
    );
    lab.succeed("prune run -o sparse.safetensors");
    let report = lab.json("inspect sparse.safetensors");
    assert!(
        report["compression_ratio"].as_f64().unwrap() > 1.5,
        "{report}"
    );
}

#[test]
fn what_cannot_come_in_is_told_and_nothing_is_written() {
    let lab = Lab::new();
    lab.write("normalised.toml", NORMALISED);
    let mut tensors = Tensors::new();
    tensors.insert(
        "conv1.weight".to_owned(),
        RawTensor::f32(&[6, 1, 5, 5], &[0.5; 150]),
    );
    tensors.insert("extra".to_owned(), RawTensor::f32(&[1], &[0.0]));
    write_state_dict(&lab, "theirs.safetensors", &tensors);
    lab.write("old.pt", b"\x80\x02}q\x00.");
    let import = |file: &str, more: &str| {
        lab.vbd(&format!(
            "import {file} --spec normalised.toml -o ours.safetensors {more}"
        ))
    };
    assert_told(
        &import("theirs.safetensors", ""),
        1,
        &[
            "theirs.safetensors",
            "`conv1.weight` has shape [6, 1, 5, 5]: expected [6, 1, 3, 3]",
            "missing: `fc1.weight`",
            "left over: `extra`",
        ],
    );
    assert_told(
        &import("theirs.safetensors", "--rename conv=a"),
        1,
        &["`conv=a` fits no tensor"],
    );
    assert_told(
        &import("theirs.safetensors", "--rename extra=conv1.weight"),
        1,
        &["two tensors get the name `conv1.weight`"],
    );
    assert_told(
        &import("theirs.safetensors", "--rename conv1"),
        2,
        &["expected old=new"],
    );
    assert_told(
        &import("old.pt", ""),
        1,
        &["old.pt", "Python pickle", "save_file", "torch.load"],
    );
    assert_told(
        &lab.vbd("export old.pt --to torch -o x.safetensors"),
        1,
        &["Python pickle"],
    );
    assert_told(
        &lab.vbd("export run --to keras -o x.safetensors"),
        2,
        &["`torch-csr`"],
    );
    lab.write("mine.txt", "mine");
    trained(&lab);
    assert_told(
        &lab.vbd("export run --to torch -o mine.txt"),
        2,
        &["refusing to overwrite"],
    );
    let checkpoint = fs::read(lab.last_checkpoint("run")).unwrap();
    lab.write("checkpoint.safetensors", &checkpoint);
    for verb in [
        "export run --to torch",
        "import theirs.safetensors --spec normalised.toml",
    ] {
        assert_told(
            &lab.vbd(&format!("{verb} -o checkpoint.safetensors --force")),
            2,
            &["refusing to overwrite a checkpoint"],
        );
    }
    assert!(!lab.path("ours.safetensors").exists() && !lab.path("x.safetensors").exists());
}
