//! Several images, pipes, standard input, and names.

use std::io::Write;
use std::process::Stdio;

use super::build::{Colour, PngFile};
use super::*;

fn picture() -> Vec<u8> {
    PngFile::new(Colour::Grey, 8).encode_shown()
}

#[test]
fn each_image_gets_its_answer_or_its_error() {
    let lab = trained();
    lab.write("good.png", picture());
    lab.write("bad.png", b"GIF89a");
    lab.write("bad.jpg", b"BM");
    let run = lab.vbd("predict run bad.png good.png bad.jpg");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("good.png"), "{}", run.stdout);
    assert!(!run.stdout.contains("bad"), "{}", run.stdout);
    assert_says(&run, &["error: bad.png: ", "error: bad.jpg: "]);
    assert_eq!(run.stderr.matches("hint: ").count(), 1, "{}", run.stderr);

    let run = lab.vbd("predict run bad.png good.png bad.jpg --json");
    assert_eq!(run.code, Some(1), "{run:?}");
    let lines = json_lines(&run.stdout);
    let inputs: Vec<&Value> = lines.iter().map(|line| &line["input"]).collect();
    assert_eq!(inputs, ["bad.png", "good.png", "bad.jpg"]);
    assert_eq!(lines[1]["class"], 2);
    assert!(lines[0]["error"].is_string() && lines[0].get("class").is_none());
    assert_says(&run, &["error: bad.png: "]);
}

#[test]
fn standard_input_is_an_image() {
    let lab = trained();
    for name in ["-", "/dev/stdin"] {
        let mut child = lab
            .command(["predict", "run", name, "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&picture()).unwrap();
        let output = child.wait_with_output().unwrap();
        let lines = json_lines(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(
            (&lines[0]["input"], &lines[0]["class"]),
            (&name.into(), &2.into())
        );
    }
    let run = lab.vbd("predict run - -");
    assert_eq!(run.code, Some(2), "{run:?}");
    assert_says(&run, &["given twice"]);
}

#[test]
#[cfg(unix)]
fn a_fifo_is_an_image() {
    let lab = trained();
    let fifo = lab.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let writer = std::thread::spawn(move || {
        let mut pipe = std::fs::File::options().write(true).open(fifo).unwrap();
        pipe.write_all(&picture()).unwrap();
    });
    assert_eq!(answer(&lab, "run pipe")["class"], 2);
    writer.join().unwrap();
}

#[test]
#[cfg(unix)]
fn names_are_escaped_for_the_terminal() {
    let lab = trained();
    let name = "a\x1b[31m\u{202e}gnp.png";
    lab.write(name, picture());
    lab.write("b\x1b]0;t\x07.png", b"");
    for words in [
        &["predict", "run", name][..],
        &["predict", "run", name, "--show"],
    ] {
        let words = words.iter().chain(&["b\x1b]0;t\x07.png"]);
        let output = lab.command(words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(r"a\u{1b}[31m\u{202e}gnp.png"), "{text}");
        assert!(text.contains(r"b\u{1b}]0;t\u{7}.png"), "{text}");
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text}");
    }
}
