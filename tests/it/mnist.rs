//! Real MNIST: `VBD_DATA_DIR=DIR cargo test --release --workspace -- --ignored real_`.

use std::path::PathBuf;

use super::support::{Lab, json_lines};

#[test]
#[ignore = "needs VBD_DATA_DIR with mnist"]
fn real_mnist_is_learned_in_four_epochs_and_the_pruned_file_agrees() {
    let lab = Lab::new();
    let dir = PathBuf::from(std::env::var_os("VBD_DATA_DIR").unwrap());
    let dir = dir.canonicalize().unwrap();
    let data = format!("--data-dir {}", dir.display());
    let lines = json_lines(&lab.succeed(&format!(
        "train lenet-300-100-vbd --epochs 4 --out run --json {data}"
    )));
    let last = &lines[3];
    assert!(last["test_error"].as_f64().unwrap() < 0.05, "{last}");
    assert!(last["compression_ratio"].as_f64().unwrap() > 10.0, "{last}");
    lab.succeed("prune run -o pruned.safetensors");
    let evaluated = lab.json(&format!("eval pruned.safetensors {data}"));
    assert_eq!(
        (&evaluated["data"], &evaluated["samples"]),
        (&"mnist".into(), &10_000.into())
    );
    assert_eq!(evaluated["test_error"], last["test_error"]);
}
