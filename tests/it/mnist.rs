//! Real MNIST, where it is found: in `VBD_DATA_DIR`, or in `../shared/data` from the workspace.

use std::path::PathBuf;

use super::support::{Lab, json_lines, workspace};

fn data_dir() -> Option<PathBuf> {
    let set = std::env::var_os("VBD_DATA_DIR").map(PathBuf::from);
    let shared = workspace().join("../shared/data");
    let mut places = [set, Some(shared)].into_iter().flatten();
    places.find(|place| place.join("mnist").is_dir())
}

#[test]
fn four_epochs_of_the_published_recipe_learn_and_the_pruned_file_agrees() {
    let Some(dir) = data_dir() else {
        eprintln!("skipped: no mnist in VBD_DATA_DIR, nor in ../shared/data");
        return;
    };
    let lab = Lab::new();
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
