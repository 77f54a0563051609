//! Neuron pruning with a user's own network, from training to the shrunk net.

use serde_json::Value;

use super::support::{Lab, has_fields, json_lines};

/// Convolutions with a pool between them, for the lab's 8 x 8 images.
const CONVOLUTIONS: &str = r#"
name = "channels"
input = [1, 8, 8]
classes = 4
normalize = { scale = 0.00390625, mean = "image" }
[[layer]]
kind = "conv2d"
name = "conv1"
out_channels = 6
kernel = 3
padding = 1
[[layer]]
kind = "relu"
[[layer]]
kind = "max_pool2d"
kernel = 2
[[layer]]
kind = "conv2d"
name = "conv2"
out_channels = 8
kernel = 2
[[layer]]
kind = "relu"
[[layer]]
kind = "flatten"
[[layer]]
kind = "linear"
name = "fc1"
out_features = 16
[[layer]]
kind = "relu"
[[layer]]
kind = "linear"
name = "fc2"
out_features = 4
"#;

/// A lab with `gates.toml` for a network, with a gate at each of `after`.
fn lab(net: &str, after: &[&str]) -> Lab {
    let lab = Lab::new();
    lab.write("channels.toml", CONVOLUTIONS);
    let gates = after
        .iter()
        .map(|after| format!("[[method.gate]]\nafter = \"{after}\"\nkl_weight = 2.0\n"));
    let recipe = format!(
        "summary = \"units of a small network\"\nmodel = \"{net}\"\ndata = \"idx:data\"\n\
         [method]\nkind = \"dense\"\nlog_alpha_threshold = 1.0\n{}\
         [train]\nepochs = 12\nbatch_size = 20\nlr = 1e-2\nkl_warmup = [0.1, 0.4]\n",
        gates.collect::<String>()
    );
    lab.write("gates.toml", recipe);
    lab
}

fn labs() -> [Lab; 2] {
    [
        lab("net.toml", &["input", "fc1", "fc2"]),
        lab("channels.toml", &["conv1", "conv2", "flatten", "fc1"]),
    ]
}

fn kept(gates: &Value) -> u64 {
    let gates = gates.as_array().unwrap().iter();
    gates.map(|gate| gate["kept"].as_u64().unwrap()).sum()
}

#[test]
fn units_are_pruned_and_the_shrunk_net_is_the_same_net() {
    for lab in labs() {
        let lines = json_lines(&lab.succeed("train gates.toml --out run --json"));
        let last = &lines[lines.len() - 2];
        let gates = &last["gates"];
        has_fields(&gates[0], &["after", "units", "kept"]);
        assert!(kept(gates) < kept(&lines[0]["gates"]), "{gates}");
        assert!(last["test_error"].as_f64().unwrap() < 0.1, "{last}");

        let whole = lab.json("prune run -o whole.safetensors");
        let small = lab.json("prune run -o small.safetensors --structured");
        let again = lab.json("prune whole.safetensors -o again.safetensors --structured");
        assert_eq!(whole["nnz"], last["nnz"]);
        assert!(small["numel"].as_u64() < whole["numel"].as_u64());
        assert_eq!(small["structure"], again["structure"]);
        assert_eq!(lab.json("inspect run")["gates"], *gates);
        let structure = &small["structure"];
        for what in ["parameters", "multiply_adds"] {
            let [before, after] =
                ["before", "after"].map(|when| structure[format!("{what}_{when}")].as_u64());
            assert!(after < before, "{structure}");
        }
        let shown = lab.succeed("inspect small.safetensors");
        assert!(
            shown.contains("units") && shown.contains("parameters"),
            "{shown}"
        );

        for file in ["run", "whole.safetensors", "small.safetensors"] {
            let evaluated = lab.json(&format!("eval {file}"));
            assert_eq!(evaluated["test_error"], last["test_error"], "{file}");
            let lines = lab.succeed(&format!("predict {file} --index 0,1,2,3,4 --json"));
            let classes: Vec<_> = json_lines(&lines)
                .iter()
                .map(|l| l["class"].clone())
                .collect();
            let of_run = json_lines(&lab.succeed("predict run --index 0,1,2,3,4 --json"));
            assert!(classes.iter().eq(of_run.iter().map(|line| &line["class"])));
        }
        let rows = lab.json("bench small.safetensors --batch 1 --seconds 0.01");
        let rows = rows["rows"].as_array().unwrap();
        assert!(
            rows.iter()
                .any(|row| row["net"] == "before" && row["what"] == "candle")
        );
    }
}

#[test]
fn weights_and_units_can_be_pruned_in_one_file() {
    let lab = Lab::new();
    lab.succeed("train small.toml --out run");
    let sparse = lab.json("prune run -o sparse.safetensors");
    let small = lab.json("prune run -o small.safetensors --structured");
    assert!(small["numel"].as_u64() < sparse["numel"].as_u64());
    assert!(small["sparsity"].as_f64().unwrap() > 0.0);
    let dense = lab.json("prune run -o dense.safetensors --structured --layout dense");
    let layers = dense["layers"].as_array().unwrap().iter();
    assert!(layers.clone().all(|layer| layer["layout"] == "dense"));
    let errors = [
        "run",
        "sparse.safetensors",
        "small.safetensors",
        "dense.safetensors",
    ]
    .map(|file| lab.json(&format!("eval {file}"))["wrong"].clone());
    assert!(errors.iter().all(|wrong| *wrong == errors[0]), "{errors:?}");
}

#[test]
fn a_run_with_gates_has_the_same_bits_on_any_threads_and_after_a_resume() {
    for lab in labs() {
        lab.succeed("train gates.toml --threads 1 --keep-every 1 --out one");
        lab.succeed("train gates.toml --threads 2 --out two");
        lab.assert_same_runs("one", "two");
        // as if it had been killed after its seventh epoch
        for epoch in 8..=12 {
            let name = format!("one/checkpoints/epoch-{epoch:04}.safetensors");
            std::fs::remove_file(lab.path(&name)).unwrap();
        }
        lab.succeed("train --resume one --threads 2");
        lab.assert_same_runs("one", "two");
    }
}

#[test]
fn a_run_with_gates_can_start_from_a_dense_one() {
    let lab = lab("net.toml", &["fc1"]);
    lab.succeed("train dense --model net.toml --data idx:data --epochs 2 --out dense");
    let lines =
        json_lines(&lab.succeed("train gates.toml --from dense --epochs 3 --out run --json"));
    assert_eq!(lines[0]["gates"][0]["units"], 32);
}

#[test]
fn gates_without_a_position_and_removed_kinds_are_refused() {
    let lab = lab("net.toml", &["fc7"]);
    let refused = lab.vbd("train gates.toml --out run");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for word in ["fc7", "`fc1`", "`input`"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    assert!(!lab.path("run").exists());
    let before = std::fs::read_to_string(lab.path("gates.toml")).unwrap();
    lab.write("before.toml", before.replace("dense", "vbd-neurons"));
    let refused = lab.vbd("train before.toml --out run");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("[[method.gate]]"), "{refused:?}");
    let small = "name='s'\ninput=[4]\nclasses=2\n[[layer]]\nkind='select'\nname='a'\nunits=2\n\
                 [[layer]]\nkind='linear'\nname='fc'\nout_features=2\n";
    lab.write("select.toml", small);
    let refused = lab.vbd("train vbd --model select.toml --data idx:data --out run");
    assert_eq!(refused.code, Some(1), "{refused:?}");
}
