//! An autoencoder, from a user's own TOML, on images without labels: it trains, resumes, prunes and evaluates.

use std::fs;

use serde_json::Value;

use super::support::{Lab, Run, has_fields, json_lines};

const NET: &str = r#"
name = "auto"
input = [1, 8, 8]
loss = "mse"
target = "input"
normalize = { scale = 0.00390625, mean = "image" }
layer = [
    { kind = "linear", name = "fc1", out_features = 24 },
    { kind = "relu" },
    { kind = "linear", name = "code", out_features = 6 },
    { kind = "linear", name = "fc3", out_features = 24 },
    { kind = "relu" },
    { kind = "linear", name = "out", out_features = 64 },
]
"#;

/// The output is an image.
const CONVOLUTIONS: &str = r#"
name = "auto-conv"
input = [1, 8, 8]
loss = "mse"
target = "input"
normalize = { scale = 0.00390625, mean = 0.2 }
layer = [
    { kind = "conv2d", name = "fc1", out_channels = 6, kernel = 3, padding = 1 },
    { kind = "relu" },
    { kind = "conv2d", name = "out", out_channels = 1, kernel = 3, padding = 1 },
]
"#;

const TRAIN: &str = "--model auto.toml --data idx:bare --epochs 40 --batch-size 20 --lr 5e-3";
const VBD: &str = "--set kl_warmup=[0.1,0.4] --kl-weight 0.2";

/// A lab with a network (`auto.toml`), and `bare`: the images of `data` without their labels.
fn lab(net: &str) -> Lab {
    let lab = Lab::new();
    lab.write("auto.toml", net);
    fs::create_dir(lab.path("bare")).unwrap();
    for split in ["train", "t10k"] {
        let name = format!("{split}-images-idx3-ubyte");
        let images = fs::read(lab.path(&format!("data/{name}"))).unwrap();
        lab.write(&format!("bare/{name}"), images);
    }
    lab
}

fn number(object: &Value, field: &str) -> f64 {
    let number = object[field].as_f64();
    number.unwrap_or_else(|| panic!("no `{field}` in {object}"))
}

/// The values that a file gives the first test images.
fn outputs(lab: &Lab, file: &str) -> Vec<f64> {
    let lines = lab.succeed(&format!("predict {file} --index 0,1,2,3,4,5 --json"));
    let values = json_lines(&lines).into_iter().flat_map(|line| {
        assert_eq!(line["output"].as_array().unwrap().len(), 64, "{line}");
        assert!(line.get("class").is_none() && line["loss"].is_number());
        line["output"].as_array().unwrap().clone()
    });
    values.map(|value| value.as_f64().unwrap()).collect()
}

/// Trains, on one thread and on two the same, and prunes: every file gives the values of the masked net.
fn goes_the_whole_road(lab: &Lab, words: &str) -> Value {
    let command = format!("train vbd {TRAIN} {words}");
    let lines = lab.succeed(&format!("{command} --out run --threads 1 --json"));
    let lines = json_lines(&lines);
    lab.succeed(&format!("{command} --out two --threads 2"));
    lab.assert_same_runs("run", "two");
    let last = lines[lines.len() - 2].clone();
    has_fields(
        &last,
        &["loss", "nll", "kl", "test_loss", "compression_ratio"],
    );
    for field in ["test_error", "test_nll", "validation_error"] {
        assert!(last.get(field).is_none(), "{last}");
    }
    let measured = number(&last, "test_loss");
    lab.succeed("prune run -o whole.safetensors");
    lab.succeed("prune run --structured -o small.safetensors");
    let masked = outputs(lab, "run");
    for file in ["run", "whole.safetensors", "small.safetensors"] {
        let evaluated = lab.json(&format!("eval {file}"));
        assert!(evaluated.get("nll").is_none() && evaluated.get("wrong").is_none());
        let found = number(&evaluated, "test_loss");
        assert!(
            (found - measured).abs() < 1e-5 * measured,
            "{file}: {found} {measured}"
        );
        for (found, expected) in outputs(lab, file).iter().zip(&masked) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{file}: {found} {expected}"
            );
        }
        lab.succeed(&format!("bench {file} --batch 1,8 --seconds 0.01"));
    }
    let report = lab.json("inspect whole.safetensors");
    assert_eq!(
        (&report["version"], &report["loss"]),
        (&3.into(), &"mse".into())
    );
    assert_eq!(report["provenance"]["test_loss"], last["test_loss"]);
    last
}

#[test]
fn an_autoencoder_prunes_three_times_within_a_tenth_of_the_dense_loss() {
    let lab = lab(NET);
    let dense = json_lines(&lab.succeed(&format!("train dense {TRAIN} --out dense --json")));
    let dense = number(&dense[dense.len() - 2], "test_loss");
    let last = goes_the_whole_road(&lab, VBD);
    let (ratio, loss) = (
        number(&last, "compression_ratio"),
        number(&last, "test_loss"),
    );
    assert!(
        ratio >= 3.0 && loss <= 1.1 * dense,
        "{ratio} x, {loss} after {dense}"
    );
    // The mean image alone would be far worse.
    let fresh = json_lines(&lab.succeed(&format!(
        "train vbd {TRAIN} --set train.epochs=1 --set train.lr=1e-9 --out fresh --json"
    )));
    assert!(number(&fresh[0], "test_loss") > 3.0 * loss, "{}", fresh[0]);
    let table = lab.succeed("eval whole.safetensors");
    assert!(
        table.contains("test loss") && !table.contains("error"),
        "{table}"
    );
    let table = lab.succeed("predict whole.safetensors --data idx:data --index 0,1");
    assert!(table.contains("loss") && table.contains("label"), "{table}");
    assert!(
        lab.succeed("inspect whole.safetensors")
            .contains("test loss")
    );
}

#[test]
fn an_autoencoder_of_convolutions_trains_prunes_and_evaluates() {
    let lab = lab(CONVOLUTIONS);
    goes_the_whole_road(&lab, VBD);
}

#[test]
fn an_autoencoder_with_gates_trains_prunes_and_evaluates() {
    let lab = lab(NET);
    lab.write(
        "gated.toml",
        "summary = 'gated'\nmodel = 'auto.toml'\ndata = 'idx:bare'\n[method]\nkind = 'dense'\nkl_weight = 1.0\n\
         [[method.gate]]\nafter = 'input'\n[[method.gate]]\nafter = 'fc1'\n[[method.gate]]\nafter = 'fc3'\n\
         [train]\nepochs = 40\nbatch_size = 20\nlr = 1e-2\nkl_warmup = [0.1, 0.4]\n",
    );
    let lines = json_lines(&lab.succeed("train gated.toml --out run --json"));
    let last = &lines[lines.len() - 2];
    let kept = last["gates"].as_array().unwrap().iter();
    assert!(
        kept.clone()
            .any(|gate| gate["kept"].as_u64() < gate["units"].as_u64()),
        "{last}"
    );
    lab.succeed("prune run --structured -o small.safetensors");
    let found = number(&lab.json("eval small.safetensors"), "test_loss");
    assert!(
        (found - number(last, "test_loss")).abs() < 1e-5 * found,
        "{found} {last}"
    );
}

#[test]
fn a_run_of_an_autoencoder_resumes_to_the_same_bits_and_keeps_the_best() {
    let lab = lab(NET);
    let words =
        format!("train vbd {TRAIN} {VBD} --set train.epochs=10 --set validation=100 --json");
    let lines = json_lines(&lab.succeed(&format!("{words} --out whole")));
    let (end, epochs) = lines.split_last().unwrap();
    assert_eq!(end["best"], "whole/best.safetensors");
    let losses = epochs.iter().map(|line| number(line, "validation_loss"));
    let least = losses.fold(f64::INFINITY, f64::min);
    let best = lab.json("inspect whole/best.safetensors");
    let epoch = usize::try_from(best["provenance"]["epochs"].as_u64().unwrap()).unwrap();
    assert_eq!(epochs[epoch - 1]["validation_loss"].as_f64(), Some(least));
    // As if it had been stopped after five epochs.
    lab.succeed(&format!("{words} --out cut"));
    for epoch in 6..=10 {
        let checkpoint = lab.path(&format!("cut/checkpoints/epoch-{epoch:04}.safetensors"));
        let _ = fs::remove_file(checkpoint);
    }
    let resumed = lab.vbd("train --resume cut --json");
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(json_lines(&resumed.stdout).len(), 6, "{resumed:?}");
    lab.assert_same_runs("whole", "cut");
}

#[track_caller]
fn assert_refused(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(1), "{run:?}");
    for word in words {
        assert!(run.stderr.contains(word), "no `{word}` in {}", run.stderr);
    }
}

#[test]
fn errors_of_losses_targets_and_labels_name_the_field() {
    let lab = lab(NET);
    let mse = r#"loss = "mse""#;
    let (target, last) = (r#"target = "input""#, "out_features = 64");
    for (from, to, words) in [
        (mse, "", &["`classes`", "missing"][..]),
        (target, "", &["`target`", "missing"]),
        (
            mse,
            "loss = 'mse'\nclasses = 4",
            &["`classes`", "not allowed"],
        ),
        (mse, "classes = 64", &["`target`"]),
        (mse, "loss = 'mae'", &["`mae`", "hint: ", "`mse`"]),
        (last, "out_features = 63", &["`out`", "[63]", "[1, 8, 8]"]),
    ] {
        lab.write("auto.toml", NET.replace(from, to));
        assert_refused(&lab.vbd(&format!("train vbd {TRAIN} --out run")), words);
    }
    // A network with classes, and images without labels.
    let bare = lab.vbd("train small.toml --data idx:bare --out run");
    assert_refused(&bare, &["idx:bare", "label", "missing", "`small`"]);
    assert!(!lab.path("run").exists());
    lab.succeed("train small.toml --epochs 1 --out run");
    assert_refused(
        &lab.vbd("eval run --data idx:bare"),
        &["no labels", "`small`", "hint: "],
    );
    lab.succeed("predict run --data idx:bare --index 0");
    // A single label file is one too few.
    fs::copy(
        lab.path("data/train-labels-idx1-ubyte"),
        lab.path("bare/train-labels-idx1-ubyte"),
    )
    .unwrap();
    assert_refused(&lab.vbd("data idx:bare"), &["t10k-labels-idx1-ubyte"]);
    // Data of another shape.
    lab.write("auto.toml", NET);
    lab.succeed("train vbd --model auto.toml --data idx:data --epochs 1 --out auto");
    assert_refused(
        &lab.vbd("eval auto --data digits"),
        &["[1, 28, 28]", "[1, 8, 8]"],
    );
}

#[test]
fn images_without_labels_are_counted_and_written() {
    let lab = lab(NET);
    let data = lab.json("data idx:bare --out copy");
    assert_eq!(data["classes"], 0);
    assert_eq!(data["sha256"].as_object().unwrap().len(), 2);
    assert_eq!(lab.json("data idx:copy")["sha256"], data["sha256"]);
    assert!(lab.succeed("data idx:bare").contains("no labels"));
}
