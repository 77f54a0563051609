//! Runs that are killed, interrupted or damaged resume as if they had never stopped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::Lab;

/// Epochs of the runs here; the images are many, and come one by one, so that an epoch takes far longer than
/// a signal.
const EPOCHS: usize = 16;
const WORDS: &str = "train small.toml --epochs 16 --batch-size 1 --json";

fn lab() -> Lab {
    let lab = Lab::with_images([4000, 50]);
    lab.succeed(&format!("{WORDS} --out whole"));
    assert_eq!(lab.metrics("whole").len(), EPOCHS);
    lab
}

/// Starts a run and waits till the line of its epoch `epochs` tells that it is in the one after.
fn start(lab: &Lab, epochs: usize) -> Child {
    let words = WORDS.split_whitespace().chain(["--out", "cut"]);
    let mut command = lab.command(words);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let told = lines.take(epochs).map_while(Result::ok).count();
    assert_eq!(told, epochs);
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Goes on with the run, which must then be as the one that was never stopped.
fn resume_and_compare(lab: &Lab) -> String {
    assert!(
        lab.metrics("cut").len() < EPOCHS,
        "the run was over before it was stopped"
    );
    let resumed = lab.vbd("train --resume cut --json");
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    lab.assert_same_runs("whole", "cut");
    resumed.stderr
}

#[test]
fn a_run_killed_in_mid_epoch_resumes_to_the_same_bits() {
    let lab = lab();
    let mut child = start(&lab, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    resume_and_compare(&lab);
}

#[test]
fn a_run_killed_in_its_first_epoch_resumes_to_the_same_bits() {
    let lab = lab();
    let words = WORDS.split_whitespace().chain(["--out", "cut"]);
    let mut child = lab
        .command(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !lab.path("cut/checkpoints/epoch-0000.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lab.write("cut/metrics.jsonl", "{\"epoch\":1,\"lo");
    let resumed = lab.vbd("train --resume cut --json");
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    lab.assert_same_runs("whole", "cut");
}

#[test]
fn ctrl_c_writes_a_checkpoint_says_how_to_go_on_and_is_130() {
    let lab = lab();
    for (name, epochs) in [("-INT", 1), ("-TERM", 2)] {
        // A signal at the end of an epoch finds that epoch's checkpoint: then again.
        let is_within = (0..3).any(|_| {
            let _ = std::fs::remove_dir_all(lab.path("cut"));
            let child = start(&lab, epochs);
            signal(&child, name);
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(130), "{name}: {stderr}");
            assert!(stderr.contains("vbd train --resume cut"), "{stderr}");
            let checkpoint = lab.last_checkpoint("cut");
            checkpoint.to_str().unwrap().contains("-step-")
        });
        assert!(is_within, "{name}: no checkpoint within an epoch");
        lab.succeed("inspect cut");
        resume_and_compare(&lab);
    }
}

#[test]
fn a_damaged_newest_checkpoint_is_reported_and_the_previous_one_is_used() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 6 --out whole");
    lab.succeed("train small.toml --epochs 6 --out cut");
    let newest = lab.last_checkpoint("cut");
    let name = newest.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = std::fs::read(&newest).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() - 40], &flipped, b""] {
        vbd_net::file::write_atomic(&newest, damaged).unwrap();
        let resumed = lab.vbd("train --resume cut");
        assert_eq!(resumed.code, Some(0), "{resumed:?}");
        assert_eq!(
            resumed.stderr.matches("warning: ").count(),
            2,
            "{}",
            resumed.stderr
        );
        assert!(
            resumed
                .stderr
                .contains("metrics.jsonl: removed 1 line after epoch 5"),
            "{}",
            resumed.stderr
        );
        assert!(resumed.stderr.contains(&name), "{}", resumed.stderr);
        assert!(resumed.stderr.contains(".damaged"), "{}", resumed.stderr);
        assert!(
            resumed.stderr.contains("epoch-0005.safetensors: 5 of 6"),
            "{}",
            resumed.stderr
        );
        lab.assert_same_runs("whole", "cut");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_batch_far_larger_than_the_data_needs_no_memory_for_the_excess() {
    let lab = Lab::new();
    // Buffers for 2^20 samples would be 2 GB and more.
    let words = "train small.toml --epochs 1 --batch-size 1048576 --threads 1 --out run";
    let limited = lab.command(words.split(' '));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -v 1500000 && exec \"$0\" \"$@\""])
        .arg(limited.get_program())
        .args(limited.get_args())
        .current_dir(lab.path(""));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_run_in_use_is_refused_until_its_process_is_gone_killed_or_not() {
    let lab = lab();
    let mut child = start(&lab, 1);
    for words in ["train --resume cut", "train small.toml --out cut"] {
        let refused = lab.vbd(words);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("cut: in use"), "{}", refused.stderr);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    resume_and_compare(&lab);
}

#[test]
fn pruning_onto_a_checkpoint_is_refused_whatever_its_state() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out run");
    let newest = lab.last_checkpoint("run");
    let whole = std::fs::read(&newest).unwrap();
    let mut places = whole.windows(b"version".len());
    let newer = places.position(|bytes| bytes == b"version").unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut other_version = whole.clone();
    // The header contains `\"version\":2` escaped.
    other_version[newer + 10] = b'9';
    lab.write("whole.safetensors", &whole);
    for bytes in [
        &whole,
        &damaged,
        &other_version,
        &whole[..whole.len() / 2].to_vec(),
    ] {
        lab.write("target.safetensors", bytes);
        let refused = lab.vbd("prune whole.safetensors -o target.safetensors");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused
                .stderr
                .contains("refusing to overwrite a checkpoint"),
            "{}",
            refused.stderr
        );
        assert_eq!(
            &std::fs::read(lab.path("target.safetensors")).unwrap(),
            bytes
        );
    }
}

#[test]
fn a_finished_run_has_nothing_to_do_and_other_data_are_refused() {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 2 --out run");
    let before = lab.metrics("run");
    let resumed = lab.vbd("train --resume run --json");
    assert_eq!(
        (resumed.code, resumed.stdout.lines().count()),
        (Some(0), 1),
        "{resumed:?}"
    );
    assert_eq!(lab.metrics("run"), before);
    let other = Lab::with_images([600, 100]);
    let words = format!(
        "train --resume run --data idx:{}",
        other.path("data").display()
    );
    let refused = lab.vbd(&words);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("checksum"), "{}", refused.stderr);
}
