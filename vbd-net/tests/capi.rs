//! The C interface: the header matches the output of cbindgen, and the C example runs.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{random_autoencoder, random_net, random_pixels};
use vbd_net::{Layout, Plan, PrunedFile, ValueType};

fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_header_is_current() {
    if !is_there("cbindgen") {
        println!("skipped: no cbindgen here");
        return;
    }
    let (config, source) = (crate_path("cbindgen.toml"), crate_path("src/capi.rs"));
    let made = run(Command::new("cbindgen")
        .arg("--config")
        .arg(config)
        .arg(source));
    assert_eq!(
        made,
        std::fs::read_to_string(crate_path("include/vbd.h")).unwrap()
    );
}

#[test]
fn the_example_in_c_finds_the_same_classes() {
    if !is_there("cc") {
        println!("skipped: no C compiler here");
        return;
    }
    // The test runs in target/PROFILE/deps.
    let deps = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .to_path_buf();
    let profile = deps.parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "rustc",
        "-q",
        "-p",
        "vbd-net",
        "--lib",
        "--features",
        "capi",
    ]);
    cargo
        .args(["--crate-type", "cdylib", "--target-dir"])
        .arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    run(cargo.current_dir(crate_path("")));

    let folder = tempfile::tempdir().unwrap();
    let (program, model, pixels) = (
        folder.path().join("predict"),
        folder.path().join("model"),
        folder.path().join("pixels"),
    );
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"]);
    cc.arg(crate_path("include"))
        .arg(crate_path("examples/predict.c"))
        .arg("-o")
        .arg(&program);
    cc.arg("-L")
        .arg(profile)
        .arg("-lvbd_net")
        .arg(format!("-Wl,-rpath,{}", profile.display()));
    run(&mut cc);

    let net = random_net(5);
    PrunedFile::new(&net, Some(Layout::Delta), ValueType::F32)
        .unwrap()
        .write(&model)
        .unwrap();
    let images = random_pixels(&net, 20, 1);
    vbd_net::file::write_atomic(&pixels, &images).unwrap();
    let printed = run(Command::new(&program).arg(&model).arg(&pixels));
    let logits = Plan::new(&net)
        .unwrap()
        .session()
        .run(&images)
        .unwrap()
        .to_vec();
    let classes = logits.chunks(net.spec().output_len()).map(|logits| {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        logits.iter().position(|&logit| logit >= largest).unwrap()
    });
    let classes: Vec<String> = classes.map(|class| class.to_string()).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), classes);

    // An autoencoder: the values, and no class.
    let auto = random_autoencoder(3);
    let file = PrunedFile::new(&auto, Some(Layout::Delta), ValueType::F32).unwrap();
    file.write(&model).unwrap();
    let printed = run(Command::new(&program).arg(&model).arg(&pixels));
    let plan = Plan::new(file.net()).unwrap();
    let expected = plan.session().run(&images).unwrap().to_vec();
    let found = printed.split_whitespace().map(|word| word.parse().unwrap());
    assert_eq!(found.collect::<Vec<f32>>(), expected);
    assert_eq!((printed.lines().count(), plan.output_len()), (20, 30));

    let absent = Command::new(&program)
        .arg(folder.path().join("absent"))
        .arg(&pixels)
        .output();
    let absent = absent.unwrap();
    assert_eq!(absent.status.code(), Some(1));
    assert!(
        String::from_utf8(absent.stderr)
            .unwrap()
            .starts_with("error: ")
    );
}
