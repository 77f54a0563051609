//! Runs that are begun, left or collapse in unusual ways.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what an atomic write would refuse or take too long for"
)]

use std::fs;
use std::process::{Command, Stdio};

use super::support::{Lab, assert_told, binary};

#[test]
fn a_folder_without_a_checkpoint_starts_anew_by_either_command() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out whole");
    // What a process leaves that is killed in its first checkpoint's write.
    for resume in [false, true] {
        let name = if resume { "resumed" } else { "again" };
        lab.succeed(&format!("train small.toml --epochs 2 --out {name}"));
        let folder = lab.path(name);
        fs::remove_dir_all(folder.join("checkpoints")).unwrap();
        fs::create_dir(folder.join("checkpoints")).unwrap();
        fs::write(folder.join("checkpoints/.vbd-abc.tmp"), "half").unwrap();
        fs::write(folder.join(".vbd-abc.tmp"), "half").unwrap();
        fs::remove_file(folder.join("metrics.jsonl")).unwrap();
        let run = if resume {
            let run = lab.vbd("train --resume resumed");
            assert_told(
                &run,
                0,
                &["resumed: no checkpoint yet: starting the run anew"],
            );
            run
        } else {
            lab.vbd("train small.toml --epochs 2 --out again")
        };
        assert_told(&run, 0, &[]);
        lab.assert_same_runs("whole", name);
        assert!(!folder.join("checkpoints/.vbd-abc.tmp").exists());
        assert!(!folder.join(".vbd-abc.tmp").exists());
    }
}

#[test]
fn an_empty_folder_of_checkpoints_has_one_command_that_works() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("run/checkpoints")).unwrap();
    assert_told(
        &lab.vbd("train --resume run"),
        1,
        &[
            "run: no readable checkpoint",
            "hint: ",
            "`vbd train RECIPE --out run`",
        ],
    );
    assert_told(&lab.vbd("train small.toml --epochs 1 --out run"), 0, &[]);
}

#[test]
fn metrics_of_a_run_without_checkpoints_are_set_aside() {
    let lab = Lab::new();
    fs::create_dir_all(lab.path("run/checkpoints")).unwrap();
    lab.write("run/metrics.jsonl", "{\"epoch\":1}\n");
    assert_told(
        &lab.vbd("train small.toml --epochs 1 --out run"),
        0,
        &["warning: ", "renamed to run/metrics.jsonl.old"],
    );
    let old = fs::read_to_string(lab.path("run/metrics.jsonl.old")).unwrap();
    assert_eq!(
        (old.as_str(), lab.metrics("run").len()),
        ("{\"epoch\":1}\n", 1)
    );
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_needs_another_directory() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    for entry in fs::read_dir(lab.path("run/checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    assert_told(
        &lab.vbd("train --resume run"),
        1,
        &[
            "run: all 2 checkpoints are damaged",
            "hint: start the run again in another directory",
        ],
    );
}

#[test]
fn leftovers_of_a_killed_write_are_swept_when_the_run_goes_on() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out run");
    let left = lab.path("run/checkpoints/.vbd-abc.tmp");
    fs::write(&left, "half").unwrap();
    lab.succeed("train --resume run");
    assert!(!left.exists());
}

#[test]
fn metrics_behind_a_blank_line_are_kept_and_removed_lines_are_told() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 6 --out whole");
    lab.succeed("train small.toml --epochs 6 --out run");
    let path = lab.path("run/metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(2, "");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    fs::remove_file(lab.last_checkpoint("run")).unwrap();
    assert_told(
        &lab.vbd("train --resume run"),
        0,
        &[
            "warning: ",
            "metrics.jsonl: removed 1 line after epoch 5, where the run resumes",
        ],
    );
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().nth(2), Some(""));
    fs::write(&path, text.replace("\n\n", "\n")).unwrap();
    lab.assert_same_runs("whole", "run");
}

/// A recipe under which the small network loses all of its weights.
const COLLAPSE: &str = "train small.toml --kl-weight 1e9 --epochs 4 --set train.kl_warmup=[0,0]";

#[test]
fn a_collapse_is_told_while_it_trains_and_of_its_file() {
    let lab = Lab::new();
    let run = lab.vbd(&format!("{COLLAPSE} --out run"));
    assert_told(
        &run,
        0,
        &[
            "layer `fc1` has no weights left",
            "the output is constant: every test sample gets the same answer",
        ],
    );
    assert_eq!(
        run.stderr.matches("`fc1` has no weights left").count(),
        1,
        "{run:?}"
    );
    let lines = lab.metrics("run");
    assert_eq!(lines.last().unwrap()["constant_output"], true);
    let words = [
        "warning: layer `fc1` has no weights left",
        "output of network `small` is constant",
    ];
    assert_told(&lab.vbd("prune run -o x.safetensors"), 0, &words);
    for file in ["run", "x.safetensors"] {
        assert_told(&lab.vbd(&format!("inspect {file}")), 0, &words);
        let evaluated = lab.vbd(&format!("eval {file}"));
        assert_told(&evaluated, 0, &[words[1]]);
        assert_eq!(
            evaluated.stderr.matches("is constant").count(),
            1,
            "{evaluated:?}"
        );
        assert_told(
            &lab.vbd(&format!("predict {file} --index 0")),
            0,
            &[words[1]],
        );
    }
    let healthy = lab.vbd("train small.toml --epochs 2 --out healthy");
    assert!(!healthy.stderr.contains("warning"), "{healthy:?}");
    assert!(lab.metrics("healthy")[0].get("constant_output").is_none());
}

#[test]
fn a_run_stops_on_a_collapse_if_told_to() {
    let lab = Lab::new();
    let run = lab.vbd(&format!(
        "{COLLAPSE} --set train.stop_on_collapse=true --out run"
    ));
    assert_told(
        &run,
        1,
        &[
            "the output of network `small` is constant",
            "hint: try a smaller --kl-weight",
        ],
    );
    let done = lab.metrics("run").len();
    assert!((1..4).contains(&done), "{done}");
    // The epoch that collapsed is on disk.
    assert_told(&lab.vbd("inspect run"), 0, &["is constant"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let lab = Lab::new();
        let script = format!("trap '' {signal}; exec \"$0\" \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .arg(binary())
            .args("train small.toml --epochs 40 --json --out run".split(' '))
            .current_dir(lab.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Its first line of metrics shows that the handlers are in place.
        let metrics = lab.path("run/metrics.jsonl");
        while !metrics.exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let sent = Command::new("kill")
            .args([format!("-{number}"), child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success() || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        assert_eq!(lab.metrics("run").len(), 40, "{signal}");
    }
}

#[test]
fn a_run_from_another_network_names_both_and_the_layer() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    let net = fs::read_to_string(lab.path("net.toml")).unwrap();
    let wider = net
        .replace("\"small\"", "\"wider\"")
        .replace("= 32", "= 40");
    lab.write("wider.toml", wider);
    assert_told(
        &lab.vbd("train small.toml --model wider.toml --from run --out other"),
        1,
        &[
            "network `wider` cannot start from network `small`",
            "`fc1`",
            "[32, 64]",
            "[40, 64]",
        ],
    );
    let shorter = "name = 'shorter'\ninput = [1, 8, 8]\nclasses = 4\n[[layer]]\nkind = 'flatten'\n\
                   [[layer]]\nkind = 'linear'\nname = 'out'\nout_features = 4\n";
    lab.write("shorter.toml", shorter);
    assert_told(
        &lab.vbd("train small.toml --model shorter.toml --from run --out other"),
        1,
        &["`shorter`", "`small`", "fc1, fc2, fc3", "expected out"],
    );
    assert!(!lab.path("other").exists());
}

#[test]
fn thread_counts_of_the_environment_are_capped() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS", "VBD_NUM_THREADS"] {
        let mut command = lab.command("eval run --json".split(' '));
        let output = command.env(name, "100000").output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}
