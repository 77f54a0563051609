//! Exit codes, error messages and hints.

use super::support::{Lab, Run, json_lines};

/// Asserts a failure: its code, and words of stderr.
#[track_caller]
fn assert_fails(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, Some(code), "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    for word in words {
        assert!(run.stderr.contains(word), "no `{word}` in {}", run.stderr);
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    let lab = Lab::new();
    for words in [
        "",
        "trian",
        "train",
        "train small.toml --epochs many",
        "train small.toml --resume run",
        "train small.toml --device gpu",
        "train small.toml --set lr",
        "train vbd --data idx:data",
        "train vbd --model net.toml",
        "train small.toml --lr -1",
        "prune run",
        "prune run -o x --layout tight",
        "predict run",
        "eval run --split dev",
        "recipes --threads 0",
        "bench",
        "bench run --recipe small.toml",
        "bench run --steps 3",
        "bench run --epochs 3",
        "bench run --batch 0",
        "bench run --batch 1,x",
        "bench run --batch 65537",
        "bench run --seconds 0",
        "bench --recipe small.toml --batch 1",
        "bench --recipe small.toml --seconds 1",
    ] {
        assert_fails(&lab.vbd(words), 2, &[]);
    }
    assert_fails(
        &lab.vbd("train vdb"),
        2,
        &["error: unknown recipe `vdb`", "`vbd`", "hint: "],
    );
    assert_fails(&lab.vbd("models lenet"), 2, &["lenet-300-100"]);
    assert_fails(&lab.vbd("train small.toml --data mnits"), 2, &["`mnist`"]);
    let nearest = ["hint: the nearest known key is `method.kl_weight`"];
    assert_fails(&lab.vbd("train small.toml --set kl_wieght=2"), 2, &nearest);
    let nearest = ["hint: the nearest known key is `kl_weight`"];
    assert_fails(
        &lab.vbd("train small.toml --set method.kl_wieght=2"),
        2,
        &nearest,
    );
}

#[test]
fn help_and_version_are_0() {
    let lab = Lab::new();
    for words in ["--help", "--version", "train --help", "help prune"] {
        assert!(!lab.succeed(words).is_empty());
    }
}

#[test]
fn an_unknown_key_of_a_recipe_is_answered_with_the_nearest() {
    let lab = Lab::new();
    let recipe = std::fs::read_to_string(lab.path("small.toml")).unwrap();
    lab.write("typo.toml", recipe.replace("batch_size", "batchsize"));
    let words = [
        "error: typo.toml: ",
        "line ",
        "hint: the nearest known key is `batch_size`",
    ];
    assert_fails(&lab.vbd("train typo.toml"), 1, &words);
    lab.write("range.toml", recipe.replace("epochs = 12", "epochs = 0"));
    assert_fails(&lab.vbd("train range.toml"), 1, &["train.epochs", "1 to "]);
}

#[test]
fn missing_data_name_every_remedy() {
    let lab = Lab::new();
    let missing = lab.vbd("train lenet-300-100-vbd --out run");
    let ways = [
        "mnist",
        "--data-dir",
        "VBD_DATA_DIR",
        "idx:FOLDER",
        "digits",
        "hint: ",
    ];
    assert_fails(&missing, 1, &ways);
    // No run has been created.
    assert!(!lab.path("run").exists());
    assert_fails(
        &lab.vbd("train small.toml --data idx:no/where"),
        1,
        &["no/where"],
    );
    assert_fails(&lab.vbd("eval no-file"), 1, &["error: no-file: "]);
    assert_fails(
        &lab.vbd("inspect hf://a/b"),
        1,
        &["hf://a/b", "expected hf://owner/repo/path"],
    );
}

#[test]
fn a_missing_device_is_an_error_without_fall_back() {
    let lab = Lab::new();
    let metal = lab.vbd("train small.toml --device metal --out run");
    if cfg!(not(target_os = "macos")) {
        assert_fails(&metal, 1, &["metal:0", "--features metal"]);
        assert!(!lab.path("run").exists());
    }
    lab.succeed("train small.toml --cpu --epochs 1 --out cpu");
}

#[test]
fn a_folder_that_holds_a_run_is_not_written_over() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    let before = lab.last_tensors("run");
    let exists = lab.vbd("train small.toml --epochs 1 --out run --seed 3");
    assert_fails(
        &exists,
        1,
        &["already contains a run", "hint: ", "--resume run", "--out"],
    );
    assert!(lab.last_tensors("run") == before);
    assert_fails(
        &lab.vbd("train --resume data"),
        1,
        &["no readable checkpoint", "hint: "],
    );
}

#[test]
fn data_of_another_shape_are_refused() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    for verb in ["eval", "bench"] {
        let digits = lab.vbd(&format!("{verb} run --data digits"));
        assert_fails(&digits, 1, &["[1, 28, 28]", "[1, 8, 8]", "small"]);
    }
    let trained = lab.vbd("train vbd --model lenet-300-100 --data idx:data --out other");
    assert_fails(&trained, 1, &["[1, 8, 8]", "lenet-300-100"]);
    image::GrayImage::new(9, 7)
        .save(lab.path("odd.png"))
        .unwrap();
    assert_fails(&lab.vbd("predict run odd.png"), 1, &["9 x 7", "8 x 8"]);
    lab.write("text.png", "no image");
    assert_fails(&lab.vbd("predict run text.png"), 1, &["text.png"]);
    assert_fails(
        &lab.vbd("predict run --index 3,200"),
        1,
        &["200", "0 to 199"],
    );
}

#[test]
fn a_threshold_that_cannot_be_applied_is_refused() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    let above = lab.vbd("prune run -o p.safetensors --threshold 5");
    assert_fails(&above, 1, &["above the training threshold", "hint: "]);
    assert!(!lab.path("p.safetensors").exists());
    lab.succeed("prune run -o p.safetensors --threshold 2.5");
    assert_fails(
        &lab.vbd("prune p.safetensors -o q --threshold 2"),
        1,
        &["log_sigma2", "hint: "],
    );
}

#[test]
fn every_verb_reports_a_damaged_file() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    lab.succeed("prune run -o p.safetensors");
    let whole = std::fs::read(lab.path("p.safetensors")).unwrap();
    for len in [0, 200, whole.len() - 1] {
        lab.write("broken.safetensors", &whole[..len]);
        for verb in ["inspect", "eval", "bench", "prune -o q.safetensors"] {
            let run = lab.vbd(&format!("{verb} broken.safetensors"));
            assert_fails(&run, 1, &["error: broken.safetensors: "]);
        }
    }
    assert!(!lab.path("q.safetensors").exists());
}

#[test]
fn a_loss_that_turns_nan_stops_the_run_and_leaves_a_checkpoint() {
    let lab = Lab::new();
    let diverged = lab.vbd("train small.toml --lr 1e30 --out run --json");
    assert_eq!(diverged.code, Some(1), "{diverged:?}");
    for word in [
        "error: run in run stopped",
        "no longer finite",
        "hint: ",
        "--lr",
    ] {
        assert!(diverged.stderr.contains(word), "{}", diverged.stderr);
    }
    // No line reports an end, and the files on disk can be read.
    assert!(
        json_lines(&diverged.stdout)
            .iter()
            .all(|line| line.get("checkpoint").is_none())
    );
    lab.succeed("inspect run");
    lab.succeed("eval run");
}
