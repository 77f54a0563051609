//! `--show` prints what the network sees.

use super::build::{Colour, PngFile};
use super::*;

/// The picture of class 2 in characters, two rows of pixels a line.
const PICTURE: [&str; 4] = [" =      ", "        ", "@@@@@@@@", "        "];

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_picture_is_shown_beside_its_class() {
    let lab = trained();
    lab.write("two.png", PngFile::new(Colour::Grey, 8).encode_shown());
    let text = lab.succeed("predict run two.png --show");
    let shown = lines(&text);
    assert_eq!(shown[0], format!("{}  two.png", PICTURE[0]));
    assert!(
        shown[1].starts_with(&format!("{}  class 2, ", PICTURE[1])),
        "{text}"
    );
    assert_eq!(shown[2], PICTURE[2]);
    let inverted = lab.succeed("predict run two.png --show --invert");
    assert_eq!(lines(&inverted)[2], "");
    assert!(
        inverted.starts_with("@=@@@@@@  two.png\n@@@@@@@@  "),
        "{inverted}"
    );
}

#[test]
fn colours_are_half_blocks_and_come_only_when_they_should() {
    let lab = trained();
    lab.write("two.png", PngFile::new(Colour::Grey, 8).encode_shown());
    let show = |colour: &str, depth: &str| {
        let words = ["predict", "run", "two.png", "--show", "--color", colour];
        let output = lab.command(words).env("COLORTERM", depth).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = show("always", "truecolor");
    let first = format!(
        "{}\x1b[38;2;255;255;255;48;2;0;0;0m▀",
        "\x1b[38;2;0;0;0;48;2;0;0;0m▀"
    );
    assert!(text.starts_with(&first), "{text:?}");
    assert!(lines(&text)[0].ends_with("▀\x1b[0m  two.png"), "{text:?}");
    assert!(show("always", "").contains("\x1b[38;5;231;48;5;16m▀"));
    for text in [show("never", "truecolor"), show("auto", "truecolor")] {
        assert!(!text.contains(['\x1b', '▀']), "{text:?}");
    }
}

#[test]
fn a_large_picture_is_shrunk_to_the_width() {
    let lab = trained();
    lab.write("two.png", PngFile::new(Colour::Grey, 8).encode_shown());
    let output = lab
        .command(["predict", "run", "two.png", "--show"])
        .env("COLUMNS", "30")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(lines(&text)[0].starts_with(PICTURE[0]), "{text}");
}

#[test]
fn samples_of_a_data_set_are_shown_with_their_labels() {
    let lab = trained();
    let text = lab.succeed("predict run --index 2,3 --show");
    assert!(text.contains("  idx:data/test/2\n"), "{text}");
    assert!(
        text.contains("  label 2\n") && text.contains("  label 3\n"),
        "{text}"
    );
    assert_eq!(text.matches("class ").count(), 2, "{text}");
}

#[test]
fn json_cannot_show() {
    let lab = trained();
    let run = lab.vbd("predict run --index 0 --show --json");
    assert_eq!(run.code, Some(2), "{run:?}");
    assert_says(&run, &["error: --show", "--json", "hint: "]);
}
