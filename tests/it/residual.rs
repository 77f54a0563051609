//! Networks that are not chains, from a user's own TOML: train, prune, shrink and evaluate.

use super::support::{Lab, json_lines};

/// Linear layers with a sum.
pub(super) const LINEAR: &str = r#"
name = "residual"
input = [1, 8, 8]
classes = 4
normalize = { scale = 0.00390625, mean = "image" }
layer = [
    { kind = "linear", name = "fc1", out_features = 24 },
    { kind = "relu", name = "r1" },
    { kind = "linear", name = "fc2", out_features = 24 },
    { kind = "relu" },
    { kind = "linear", name = "fc3", out_features = 24 },
    { kind = "add", name = "sum", inputs = ["fc3", "r1"] },
    { kind = "relu" },
    { kind = "linear", name = "out", out_features = 4 },
]
"#;

const CONVOLUTIONS: &str = r#"
name = "residual-conv"
input = [1, 8, 8]
classes = 4
normalize = { scale = 0.00390625, mean = "image" }
layer = [
    { kind = "conv2d", name = "conv1", out_channels = 8, kernel = 3, padding = 1 },
    { kind = "relu", name = "r1" },
    { kind = "conv2d", name = "conv2", out_channels = 8, kernel = 3, padding = 1 },
    { kind = "relu" },
    { kind = "conv2d", name = "conv3", out_channels = 12, kernel = 3, padding = 1 },
    { kind = "conv2d", name = "shortcut", input = "r1", out_channels = 12, kernel = 1 },
    { kind = "add", inputs = ["conv3", "shortcut"] },
    { kind = "max_pool2d", kernel = 2 },
    { kind = "relu" },
    { kind = "flatten" },
    { kind = "linear", name = "out", out_features = 4 },
]
"#;

/// The probabilities that a file gives the first test images.
fn probabilities(lab: &Lab, file: &str) -> Vec<f64> {
    let indices: Vec<String> = (0..20).map(|index| index.to_string()).collect();
    let lines = lab.succeed(&format!(
        "predict {file} --index {} --json",
        indices.join(",")
    ));
    let probabilities = json_lines(&lines).into_iter().flat_map(|line| {
        let probabilities = line["probabilities"].as_array().unwrap().clone();
        probabilities.into_iter().map(|p| p.as_f64().unwrap())
    });
    probabilities.collect()
}

fn goes_the_whole_road(net: &str) {
    let lab = Lab::new();
    lab.write("residual.toml", net);
    let epochs = json_lines(&lab.succeed(
        "train vbd --model residual.toml --data idx:data --epochs 15 --batch-size 20 --lr 1e-2 \
         --set kl_warmup=[0.1,0.4] --out run --json",
    ));
    let last = &epochs[epochs.len() - 2];
    let error = last["test_error"].as_f64().unwrap();
    assert!(error < 0.1, "{last}");
    assert!(last["compression_ratio"].as_f64().unwrap() > 1.5, "{last}");
    lab.succeed("prune run -o whole.safetensors");
    lab.succeed("prune run --structured -o small.safetensors");
    let masked = probabilities(&lab, "run");
    for file in ["whole.safetensors", "small.safetensors"] {
        let evaluated = lab.json(&format!("eval {file}"));
        assert_eq!(evaluated["test_error"].as_f64(), Some(error), "{file}");
        for (found, expected) in probabilities(&lab, file).iter().zip(&masked) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{file}: {found} {expected}"
            );
        }
        assert_eq!(lab.json(&format!("inspect {file}"))["version"], 2);
    }
    lab.succeed("bench small.safetensors --batch 1,8 --seconds 0.05");
}

#[test]
fn a_residual_net_of_linear_layers_trains_prunes_shrinks_and_evaluates() {
    goes_the_whole_road(LINEAR);
}

#[test]
fn a_residual_net_of_convolutions_trains_prunes_shrinks_and_evaluates() {
    goes_the_whole_road(CONVOLUTIONS);
}

#[test]
fn a_network_that_reads_a_missing_layer_is_refused_and_the_layer_is_named() {
    let lab = Lab::new();
    lab.write(
        "residual.toml",
        LINEAR.replace(r#""fc3", "r1""#, r#""fc3", "r9""#),
    );
    let run = lab.vbd("train vbd --model residual.toml --data idx:data --out run");
    assert_eq!(run.code, Some(1), "{run:?}");
    for words in ["`sum`: reads `r9`", "`r1`"] {
        assert!(run.stderr.contains(words), "{run:?}");
    }
}
