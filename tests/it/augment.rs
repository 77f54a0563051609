//! `[train.augment]`: crops and flips of training images.

use super::support::{Lab, assert_told};

#[test]
fn augmented_runs_have_the_same_bits_on_any_number_of_threads_and_when_resumed() {
    let lab = Lab::new();
    let words = "train small.toml --epochs 4 --set crop=2 --set train.augment.flip=true";
    lab.succeed(&format!("{words} --threads 1 --out one"));
    lab.succeed(&format!("{words} --threads 2 --out two"));
    lab.assert_same_runs("one", "two");
    lab.succeed("train small.toml --epochs 4 --out plain");
    assert!(lab.last_tensors("one") != lab.last_tensors("plain"));
    // As if the run had been killed in its last epoch.
    std::fs::remove_file(lab.path("two/checkpoints/epoch-0004.safetensors")).unwrap();
    let resumed = lab.vbd("train --resume two");
    assert_told(&resumed, 0, &["resuming from"]);
    lab.assert_same_runs("one", "two");
    let recipe = std::fs::read_to_string(lab.path("one/recipe.toml")).unwrap();
    assert!(
        recipe.contains("[train.augment]\ncrop = 2\nflip = true"),
        "{recipe}"
    );
}

#[test]
fn what_cannot_be_augmented_is_named_with_its_key() {
    let lab = Lab::new();
    let train = "train small.toml --epochs 1 --out run";
    for (words, code, told) in [
        (
            "--set crop=8",
            1,
            "`train.augment.crop` is 8: expected less than the 8 rows and 8 columns",
        ),
        ("--set train.augment.crop=-1", 2, "crop"),
        ("--set train.augment.flip=1", 2, "flip"),
        (
            "--set train.augment.crops=1",
            2,
            "hint: the nearest known key is `crop`",
        ),
        (
            "--model flat.toml --set flip=true",
            1,
            "`train.augment` is given for network `small`, whose input is [64]",
        ),
    ] {
        let net = std::fs::read_to_string(lab.path("net.toml")).unwrap();
        lab.write("flat.toml", net.replace("[1, 8, 8]", "[64]"));
        assert_told(&lab.vbd(&format!("{train} {words}")), code, &[told]);
        assert!(!lab.path("run").exists(), "{words}");
    }
}
