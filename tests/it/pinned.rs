//! Hashes of all weights after three epochs: a change of the structure changes no bit.
//!
//! Every instruction set and every number of threads gives the same bits, so that each recipe has one hash.
//! Where numbers must change, `scripts/pin-hashes` writes `pinned.txt` anew, in a commit of its own that says why.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::support::{Lab, workspace};

const RECIPES: [&str; 5] = [
    "quickstart",
    "lenet-300-100-vbd",
    "lenet-300-100-vd",
    "lenet-5-caffe-vbd",
    "lenet-500-300-vbd-neurons",
];
/// Samples of the built-in digits that are trained and tested on.
const SAMPLES: [(&str, usize); 2] = [("train", 430), ("t10k", 100)];

/// The first of the built-in digits, as IDX files in `digits`.
fn few_digits(lab: &Lab) {
    lab.succeed("data digits --out digits");
    for (split, samples) in SAMPLES {
        for (kind, values, header) in [("images-idx3", 28 * 28, 16), ("labels-idx1", 1, 8)] {
            let name = format!("digits/{split}-{kind}-ubyte");
            let mut bytes = std::fs::read(lab.path(&name)).unwrap();
            bytes.truncate(header + samples * values);
            bytes[4..8].copy_from_slice(&u32::try_from(samples).unwrap().to_be_bytes());
            lab.write(&name, bytes);
        }
    }
}

/// The hash of a run's weights: names, shapes and bits of all tensors of its last checkpoint but moments.
fn hash(lab: &Lab, run: &str) -> String {
    let mut hasher = Sha256::new();
    for (name, tensor) in lab.last_tensors(run) {
        let is_state = [".m", ".v"].iter().any(|end| name.ends_with(end));
        if !is_state {
            hasher.update(name.as_bytes());
            for size in tensor.shape {
                hasher.update(u64::try_from(size).unwrap().to_le_bytes());
            }
            hasher.update(tensor.bytes);
        }
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
fn weights_after_three_epochs_are_those_that_are_pinned() {
    let lab = Lab::new();
    few_digits(&lab);
    let mut found = String::new();
    for recipe in RECIPES {
        let [one, two] = [1, 2].map(|threads| {
            let run = format!("{recipe}-{threads}");
            lab.succeed(&format!(
                "train {recipe} --data idx:digits --epochs 3 --threads {threads} --out {run}"
            ));
            hash(&lab, &run)
        });
        assert_eq!(one, two, "{recipe} on one thread and on two");
        writeln!(found, "{one} {recipe}").unwrap();
    }
    let path = workspace().join("tests/it/pinned.txt");
    if std::env::var_os("VBD_PIN_HASHES").is_some() {
        vbd_net::file::write_atomic(&path, found.as_bytes()).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, pinned, "not the bits that {} pins", path.display());
}
