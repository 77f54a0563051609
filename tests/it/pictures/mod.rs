//! Pictures: what a viewer shows is what the network sees; damaged files are refused.

mod build;
mod damage;
mod inputs;
mod kinds;
mod show;
mod transparency;

use serde_json::Value;

use super::support::{Lab, Run, json_lines};

/// A lab with the run `run`, whose mean training image is known, and the run `plain`, which has none.
fn trained() -> Lab {
    let lab = Lab::new();
    let file = |name: &str| std::fs::read_to_string(lab.path(name)).unwrap();
    let net = file("net.toml").replace(r#", mean = "image""#, "");
    lab.write("plain-net.toml", net);
    let recipe = file("small.toml").replace("net.toml", "plain-net.toml");
    lab.write("plain.toml", recipe);
    lab.succeed("train small.toml --out run");
    lab.succeed("train plain.toml --out plain");
    lab
}

/// The answer for one image, which must be given.
#[track_caller]
fn answer(lab: &Lab, words: &str) -> Value {
    lab.json(&format!("predict {words}"))
}

/// Asserts that the images are refused: exit code 1, no answer, and words of stderr.
#[track_caller]
fn assert_refused(lab: &Lab, words: &str, expected: &[&str]) {
    let run = lab.vbd(&format!("predict {words}"));
    assert_eq!(run.code, Some(1), "{words}: {run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    assert_says(&run, expected);
}

#[track_caller]
fn assert_says(run: &Run, expected: &[&str]) {
    for word in expected {
        assert!(run.stderr.contains(word), "no `{word}` in {}", run.stderr);
    }
}
