//! Sweeps: many runs from one file, stopped, killed, edited and spread over a queue.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::{Lab, assert_told, has_fields, json_lines};

const SWEEP: &str = r#"
summary = "VBD against VD on a small network"
seeds = [0, 1]

[set]
"train.epochs" = 3

[[run]]
name = "VBD"
recipe = "small.toml"
paper = { test_error = 0.05, compression_ratio = 9.0 }

[[run]]
name = "VD, no"
recipe = "small.toml"
set = { "method.kind" = "vd" }
"#;

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("sweep.toml", SWEEP.replace("VD, no", "VD"));
    lab
}

/// Name, seed and state of each run's line, and the rows.
fn read(stdout: &str) -> (Vec<(String, u64, String)>, Vec<Value>) {
    let mut lines = json_lines(stdout);
    let last = lines.pop().unwrap();
    let word = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let runs = lines
        .iter()
        .map(|line| {
            let seed = line["seed"].as_u64().unwrap();
            (word(line, "run"), seed, word(line, "state"))
        })
        .collect();
    (runs, last["rows"].as_array().unwrap().clone())
}

fn states(stdout: &str) -> Vec<String> {
    let mut runs = read(stdout).0;
    runs.sort();
    runs.into_iter().map(|(_, _, state)| state).collect()
}

#[test]
fn a_sweep_trains_its_runs_and_keeps_what_is_finished() {
    let lab = lab();
    let stdout = lab.succeed("sweep sweep.toml --jobs 2 --out all --json");
    let (runs, rows) = read(&stdout);
    assert_eq!(runs.len(), 4);
    assert!(runs.iter().all(|(_, _, state)| state == "finished"));
    for row in &rows {
        has_fields(
            row,
            &["name", "seeds", "test_error", "compression_ratio", "paper"],
        );
        has_fields(&row["test_error"], &["median", "least", "most"]);
        assert_eq!(row["seeds"], serde_json::json!([0, 1]));
    }
    assert_eq!([&rows[0]["name"], &rows[1]["name"]], ["VBD", "VD"]);
    assert_eq!(rows[0]["paper"]["test_error"], 0.05);
    assert!(rows[1]["paper"].is_null());
    // The same as by hand.
    lab.succeed("train small.toml --epochs 3 --seed 1 --set kind=vd --out hand");
    lab.assert_same_runs("hand", "all/VD-seed1");
    let errors = [0, 1].map(|seed| {
        let lines = lab.metrics(&format!("all/VD-seed{seed}"));
        lines[2]["test_error"].as_f64().unwrap()
    });
    let median = rows[1]["test_error"]["median"].as_f64().unwrap();
    assert!((median - 0.5 * (errors[0] + errors[1])).abs() < 1e-12);

    // Of a finished run, three small files are enough.
    for run in ["VBD-seed0", "VBD-seed1", "VD-seed0", "VD-seed1"] {
        let folder = lab.path("all").join(run);
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap();
            } else if !["recipe.toml", "metrics.jsonl", "done"].contains(&name.as_str()) {
                fs::remove_file(&path).unwrap();
            }
        }
    }
    let again = lab.succeed("sweep sweep.toml --jobs 2 --out all --json");
    assert_eq!(states(&again), ["kept"; 4]);
    assert_eq!(read(&again).1, rows);
    let collected = lab.succeed("sweep sweep.toml --out all --collect --json");
    assert_eq!(read(&collected).1, rows);
    let table: Value =
        serde_json::from_str(&fs::read_to_string(lab.path("all/table.json")).unwrap()).unwrap();
    assert_eq!(table["rows"].as_array().unwrap(), &rows);
    let text = fs::read_to_string(lab.path("all/table.md")).unwrap();
    assert!(
        text.contains("| VBD | 0 1 |") && text.contains("9.00x at 5.00 %"),
        "{text}"
    );
    let shown = lab.succeed("sweep sweep.toml --out all --collect");
    assert!(
        shown.contains("test error %") && shown.contains("VD"),
        "{shown}"
    );
}

#[test]
fn a_run_that_fails_is_shown_and_does_not_stop_the_rest() {
    let lab = lab();
    let sweep = fs::read_to_string(lab.path("sweep.toml")).unwrap();
    let sweep = sweep.replace("\"vd\" }", "\"vd\", data = \"idx:nowhere\" }");
    lab.write("sweep.toml", sweep);
    let told = lab.vbd("sweep sweep.toml --out all --json");
    assert_eq!(told.code, Some(1), "{told:?}");
    assert_eq!(
        states(&told.stdout),
        ["finished", "finished", "failed", "failed"]
    );
    assert!(told.stdout.contains("nowhere"), "{}", told.stdout);
    let (_, rows) = read(&told.stdout);
    assert_eq!(rows[1]["seeds"], serde_json::json!([]));
    assert!(rows[1].get("test_error").is_none());
    assert!(
        fs::read_to_string(lab.path("all/VD-seed0.log"))
            .unwrap()
            .contains("nowhere")
    );
}

#[test]
fn a_recipe_that_cannot_be_used_is_told_before_anything_runs() {
    let lab = lab();
    for (from, to, words) in [
        (
            "\"method.kind\" = \"vd\"",
            "\"method.kin\" = \"vd\"",
            "kind",
        ),
        (
            "recipe = \"small.toml\"\nset",
            "recipe = \"smal.toml\"\nset",
            "smal.toml",
        ),
        ("seeds = [0, 1]", "seeds = [0, 0]", "each once"),
        ("summary", "summry", "unknown field `summry`"),
    ] {
        let text = fs::read_to_string(lab.path("sweep.toml")).unwrap();
        assert!(text.contains(from));
        lab.write("bad.toml", text.replacen(from, to, 1));
        let told = lab.vbd("sweep bad.toml --out all");
        assert!(matches!(told.code, Some(1 | 2)), "{told:?}");
        assert!(told.stderr.contains(words), "{told:?}");
        assert!(!lab.path("all").exists());
    }
    assert_told(
        &lab.vbd("sweep sweep.toml --index 5"),
        2,
        &["expected 1 to 4"],
    );
}

#[test]
fn a_killed_sweep_goes_on_and_ends_with_the_same_table() {
    let lab = lab();
    let text = fs::read_to_string(lab.path("sweep.toml")).unwrap();
    let text = text.replace("\"train.epochs\" = 3", "\"train.epochs\" = 60");
    lab.write("sweep.toml", text);
    let whole = lab.succeed("sweep sweep.toml --out whole --json");
    let mut child = lab
        .command("sweep sweep.toml --jobs 2 --out all --json".split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Until a run has reported an epoch.
    let start = Instant::now();
    let reported = || {
        let runs =
            ["all/VBD-seed0", "all/VBD-seed1"].map(|run| lab.path(run).join("metrics.jsonl"));
        runs.iter().any(|path| path.is_file())
    };
    while !reported() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let rest = lab.succeed("sweep sweep.toml --jobs 2 --out all --json");
    assert_eq!(read(&rest).1, read(&whole).1);
    for run in ["VBD-seed0", "VBD-seed1", "VD-seed0", "VD-seed1"] {
        lab.assert_same_runs(&format!("whole/{run}"), &format!("all/{run}"));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_sweep_stops_its_runs_and_can_go_on() {
    let lab = lab();
    let text = fs::read_to_string(lab.path("sweep.toml")).unwrap();
    lab.write(
        "sweep.toml",
        text.replace("\"train.epochs\" = 3", "\"train.epochs\" = 4000"),
    );
    let child = lab
        .command("sweep sweep.toml --jobs 2 --out all --json".split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !lab.path("all/VBD-seed1/metrics.jsonl").is_file()
        && start.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    // What was stopped has a checkpoint, and nobody trains any more.
    let resumed = lab.vbd("train --resume all/VBD-seed1 --epochs 1");
    assert_eq!(resumed.code, Some(2), "{resumed:?}");
    let inspected = lab.json("inspect all/VBD-seed1");
    assert!(inspected["numel"].as_u64().unwrap() > 0);
}

#[test]
fn one_command_a_run_gives_the_same_table() {
    let lab = lab();
    let whole = lab.succeed("sweep sweep.toml --out whole --json");
    lab.succeed("sweep sweep.toml --out queue --emit commands.txt");
    let commands = fs::read_to_string(lab.path("commands.txt")).unwrap();
    assert_eq!(commands.lines().count(), 4);
    assert!(!lab.path("queue").exists());
    // In any order, from anywhere.
    for line in commands.lines().rev() {
        let done = Command::new("sh")
            .args(["-c", line])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
    }
    let collected = lab.succeed("sweep sweep.toml --out queue --collect --json");
    assert_eq!(read(&collected).1, read(&whole).1);
    let again = lab.succeed("sweep sweep.toml --out queue --index 2 --json");
    assert_eq!(json_lines(&again)[0]["state"], "kept");
}

#[test]
fn a_sweep_that_chooses_by_validation_does_not_evaluate_the_test_set() {
    let lab = lab();
    let text = fs::read_to_string(lab.path("sweep.toml")).unwrap();
    lab.write("blind.toml", format!("select = \"validation\"\n{text}"));
    let told = lab.vbd("sweep blind.toml --out all");
    assert_told(&told, 2, &["train.test", "train.validation"]);
    let text = text.replace("[set]", "[set]\n\"train.validation\" = 20");
    lab.write("blind.toml", format!("select = \"validation\"\n{text}"));
    let (_, rows) = read(&lab.succeed("sweep blind.toml --out all --json"));
    assert!(rows[0].get("test_error").is_none());
    has_fields(&rows[0]["validation_error"], &["median"]);
    for line in lab.metrics("all/VBD-seed0") {
        assert!(
            line.get("test_error").is_none() && line["validation_error"].is_f64(),
            "{line}"
        );
    }
}

#[test]
fn a_run_of_another_recipe_is_not_taken_for_this_ones() {
    let lab = lab();
    lab.succeed("sweep sweep.toml --out all");
    let text = fs::read_to_string(lab.path("sweep.toml")).unwrap();
    lab.write(
        "sweep.toml",
        text.replace("\"train.epochs\" = 3", "\"train.epochs\" = 2"),
    );
    let told = lab.vbd("sweep sweep.toml --out all --json");
    assert_eq!(told.code, Some(1), "{told:?}");
    assert_eq!(states(&told.stdout), ["failed"; 4]);
    assert!(told.stdout.contains("another recipe"), "{}", told.stdout);
    assert_eq!(lab.metrics("all/VBD-seed0").len(), 3);
}

#[test]
fn two_sweeps_at_the_same_time_share_the_runs() {
    let lab = lab();
    let text = fs::read_to_string(lab.path("sweep.toml")).unwrap();
    lab.write(
        "sweep.toml",
        text.replace("\"train.epochs\" = 3", "\"train.epochs\" = 40"),
    );
    let start = || {
        let words = "sweep sweep.toml --jobs 2 --out all --json".split_whitespace();
        lab.command(words).stdout(Stdio::piped()).spawn().unwrap()
    };
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let rows = outputs.map(|output| {
        assert!(output.status.success(), "{output:?}");
        read(std::str::from_utf8(&output.stdout).unwrap()).1
    });
    assert_eq!(rows[0], rows[1]);
    assert_eq!(rows[0][1]["seeds"], serde_json::json!([0, 1]));
}
