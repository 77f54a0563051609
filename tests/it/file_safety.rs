//! What is written where, and what is shown of files that are not to be trusted.

use std::fs;

use super::support::{Lab, assert_told};

/// A lab with a run and its pruned file.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.succeed("train small.toml --epochs 1 --out run");
    lab.succeed("prune run -o small.safetensors");
    lab
}

/// The pruned file with one JSON value of its metadata changed.
fn with_metadata(lab: &Lab, change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let bytes = fs::read(lab.path("small.safetensors")).unwrap();
    let (tensors, json) = vbd_net::tensor_file::from_bytes(&bytes).unwrap();
    let mut value = serde_json::from_str(&json).unwrap();
    change(&mut value);
    vbd_net::tensor_file::to_bytes(&tensors, value.to_string()).unwrap()
}

#[test]
#[cfg(unix)]
fn links_are_written_through_and_what_is_no_file_is_refused() {
    use std::os::unix::fs::symlink;
    let lab = lab();
    lab.write("real.st", "");
    symlink("real.st", lab.path("link.st")).unwrap();
    lab.succeed("prune run -o link.st");
    assert!(lab.path("link.st").is_symlink());
    assert!(fs::metadata(lab.path("real.st")).unwrap().len() > 0);
    let mut permissions = fs::metadata(lab.path("real.st")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(lab.path("real.st"), permissions).unwrap();
    let before = fs::read(lab.path("real.st")).unwrap();
    for name in ["real.st", "link.st"] {
        assert_told(
            &lab.vbd(&format!("prune run -o {name} --threshold 2")),
            1,
            &["real.st: is a file without write permission"],
        );
    }
    assert_eq!(fs::read(lab.path("real.st")).unwrap(), before);
    assert_told(
        &lab.vbd("prune run -o /dev/null"),
        1,
        &["/dev/null: is a device"],
    );
    assert_told(&lab.vbd("prune run -o run"), 1, &["run: is a directory"]);
    std::process::Command::new("mkfifo")
        .arg(lab.path("pipe"))
        .status()
        .unwrap();
    assert_told(
        &lab.vbd("prune run -o pipe"),
        1,
        &["pipe: is a device, pipe or socket"],
    );
}

#[test]
fn what_vbd_did_not_write_is_not_written_over_unless_forced() {
    let lab = lab();
    lab.write("notes.txt", "mine");
    for name in [
        "run/metrics.jsonl",
        "run/recipe.toml",
        "run/lock",
        "run/net.toml",
    ] {
        let before = fs::read(lab.path(name)).unwrap();
        for force in ["", " --force"] {
            assert_told(
                &lab.vbd(&format!("prune run -o {name}{force}")),
                2,
                &[name, "refusing to overwrite a file of a run"],
            );
        }
        assert_eq!(fs::read(lab.path(name)).unwrap(), before, "{name}");
    }
    let name = "notes.txt";
    let before = fs::read(lab.path(name)).unwrap();
    assert_told(
        &lab.vbd(&format!("prune run -o {name}")),
        2,
        &[
            name,
            "not written by vbd: refusing to overwrite it",
            "hint: ",
            "--force",
        ],
    );
    assert_eq!(fs::read(lab.path(name)).unwrap(), before, "{name}");
    lab.succeed("prune run -o notes.txt --force");
    lab.succeed("inspect notes.txt");
    // Its own files are, damaged ones too.
    lab.succeed("prune run -o small.safetensors");
    let bytes = fs::read(lab.path("small.safetensors")).unwrap();
    lab.write("small.safetensors", &bytes[..bytes.len() - 9]);
    lab.succeed("prune run -o small.safetensors");
}

#[test]
fn texts_that_are_none_and_folders_that_are_missing_are_named() {
    let lab = Lab::new();
    lab.write("lfs.toml", "version https://git-lfs.github.com/spec/v1\n");
    for words in [
        "train lfs.toml --out run",
        "train small.toml --model lfs.toml --out run",
    ] {
        assert_told(
            &lab.vbd(words),
            1,
            &["lfs.toml: not a text file: this is a Git LFS pointer"],
        );
    }
    assert_told(
        &lab.vbd("data lfs.toml"),
        2,
        &["`lfs.toml`: is a file: expected a directory"],
    );
    lab.succeed("train small.toml --epochs 1 --out run");
    assert_told(
        &lab.vbd("prune run -o no/x.safetensors"),
        1,
        &[
            "No such file or directory",
            "hint: directory no does not exist",
        ],
    );
}

#[test]
fn text_of_files_cannot_control_the_terminal() {
    let lab = lab();
    let hostile = "x\u{1b}[31m\u{7}\n\r\u{9b}2J\u{202e}\u{7f}";
    let bytes = with_metadata(&lab, |value| {
        value["spec"]["name"] = hostile.into();
        value["provenance"]["recipe"] = hostile.into();
        value["provenance"]["data"] = hostile.into();
        value["method"]["kind"] = hostile.into();
        value["method"]["gate"] =
            serde_json::json!([{"after": hostile, "kind": hostile, "kl_weight": 2.0}]);
    });
    lab.write("evil.safetensors", bytes);
    for words in [
        "inspect evil.safetensors",
        "inspect evil.safetensors --json",
        "eval evil.safetensors",
        "eval evil.safetensors --data idx:data",
        "prune evil.safetensors -o out.safetensors",
        "bench evil.safetensors --data idx:data --seconds 0.001 --batch 1",
    ] {
        let run = lab.vbd(words);
        for text in [&run.stdout, &run.stderr] {
            let escaped = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
            assert!(text.chars().all(escaped), "{words}: {text:?}");
        }
    }
    let shown = lab.vbd("inspect evil.safetensors");
    assert!(shown.stdout.contains(r"x\u{1b}[31m\u{7}\n\r"), "{shown:?}");
}

#[test]
#[cfg(unix)]
fn names_of_files_cannot_control_the_terminal() {
    let lab = lab();
    let name = "a\u{1b}[2Jb\nc.safetensors";
    let copied = fs::copy(lab.path("small.safetensors"), lab.path(name)).unwrap();
    assert!(copied > 0);
    for words in [
        ["inspect", "missing\u{1b}[2J"],
        ["eval", "missing\u{9b}"],
        ["inspect", name],
    ] {
        let output = lab.command(words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
    }
}

#[test]
fn numbers_of_metadata_are_held_to_their_ranges() {
    let lab = lab();
    let cases: [(&[&str], f64, &str); 9] = [
        (
            &["provenance", "test_error"],
            5.0,
            "`provenance.test_error` is 5: expected 0 to 1",
        ),
        (
            &["provenance", "test_error"],
            -0.1,
            "`provenance.test_error` is -0.1",
        ),
        (
            &["provenance", "test_loss"],
            -1.0,
            "`provenance.test_loss` is -1",
        ),
        (
            &["provenance", "kl_weight"],
            -2.0,
            "`provenance.kl_weight` is -2",
        ),
        (&["threshold"], 1e39, "number out of range"),
        (
            &["method", "log_alpha_threshold"],
            1e300,
            "number out of range",
        ),
        (
            &["spec", "normalize", "std"],
            1e-300,
            "std is out of range: 1e-300",
        ),
        (
            &["spec", "normalize", "scale"],
            1e-60,
            "scale is out of range: 1e-60",
        ),
        (&["spec", "normalize", "std"], 1e-40, "infinite inputs"),
    ];
    for (path, number, words) in cases {
        let bytes = with_metadata(&lab, |value| {
            let field = path.iter().fold(value, |value, &key| &mut value[key]);
            *field = number.into();
        });
        lab.write("wrong.safetensors", bytes);
        for verb in ["inspect", "eval"] {
            let run = lab.vbd(&format!("{verb} wrong.safetensors"));
            assert_told(&run, 1, &["wrong.safetensors", words]);
            assert!(run.stdout.is_empty(), "{run:?}");
        }
    }
}

#[test]
fn files_of_other_programs_are_named_for_what_they_are() {
    let lab = Lab::new();
    for (content, words) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:00"[..],
            "Git LFS pointer",
        ),
        (b"\x80\x02}q\x00.", "Python pickle"),
        (
            b"PK\x03\x04archive/data.pkl",
            "zip archive, such as a PyTorch checkpoint",
        ),
        (b"\x1f\x8b\x08\0", "gzip file"),
        (b"<!DOCTYPE html>\n<html>", "HTML page"),
        (b"GGUF\x03\0\0\0", "GGUF file"),
        (b"", "empty file"),
    ] {
        lab.write("foreign", content);
        for verb in [
            "inspect foreign",
            "eval foreign",
            "prune foreign -o out",
            "train small.toml --from foreign --out run",
        ] {
            assert_told(&lab.vbd(verb), 1, &["foreign", words]);
        }
    }
    assert!(!lab.path("out").exists() && !lab.path("run").exists());
}
