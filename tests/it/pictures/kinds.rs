//! Each kind of file shows the same picture.

use super::build::{Colour, PngFile, SIDE, exif, jpeg, jpeg_shown, shown, with_exif};
use super::*;

/// Probabilities of JPEG files differ by this from those of the exact picture.
const JPEG_TOLERANCE: f64 = 0.02;

/// Every color type with its depths.
pub(super) const KINDS: [(Colour, &[usize]); 5] = [
    (Colour::Grey, &[1, 2, 4, 8, 16]),
    (Colour::Rgb, &[8, 16]),
    (Colour::Palette, &[1, 2, 4, 8]),
    (Colour::GreyAlpha, &[8, 16]),
    (Colour::Rgba, &[8, 16]),
];

#[track_caller]
fn assert_near(one: &Value, other: &Value) {
    assert_eq!(one["class"], 2, "{one}");
    let numbers = |answer: &Value| answer["probabilities"].as_array().unwrap().clone();
    for (one, other) in numbers(one).iter().zip(numbers(other)) {
        let difference = one.as_f64().unwrap() - other.as_f64().unwrap();
        assert!(difference.abs() < JPEG_TOLERANCE, "{one} {other}");
    }
}

#[test]
fn every_png_kind_shows_the_same_picture() {
    let lab = trained();
    let mut names = Vec::new();
    for (colour, depths) in KINDS {
        for &depth in depths {
            for interlaced in [false, true] {
                let png = PngFile {
                    interlaced,
                    ..PngFile::new(colour, depth)
                };
                let name = format!("{}-{depth}-{interlaced}.png", colour as u8);
                lab.write(&name, png.encode_shown());
                names.push(name);
            }
        }
    }
    let answers = json_lines(&lab.succeed(&format!("predict run {} --json", names.join(" "))));
    assert_eq!(answers.len(), 30);
    for answer in &answers {
        assert_eq!(answer["class"], 2, "{answer}");
        assert_eq!(
            answer["probabilities"], answers[0]["probabilities"],
            "{answer}"
        );
    }
}

#[test]
fn colours_become_grey_with_the_weights_of_pillow() {
    let lab = trained();
    // L of pure green is 150.
    let green = PngFile::new(Colour::Rgb, 8)
        .encode(|x, y, channel| u16::from(channel == 1 && shown(x, y) > 0) * 255);
    let grey = PngFile::new(Colour::Grey, 8).encode(|x, y, _| u16::from(shown(x, y) > 0) * 150);
    lab.write("green.png", green);
    lab.write("grey.png", grey);
    let answers = json_lines(&lab.succeed("predict run green.png grey.png --json"));
    assert_eq!(answers[0]["probabilities"], answers[1]["probabilities"]);
}

#[test]
fn every_orientation_is_applied() {
    let lab = trained();
    let last = SIDE - 1;
    let stored = |orientation: u8, x: usize, y: usize| match orientation {
        2 => shown(last - x, y),
        3 => shown(last - x, last - y),
        4 => shown(x, last - y),
        5 => shown(y, x),
        6 => shown(last - y, x),
        7 => shown(last - y, last - x),
        8 => shown(y, last - x),
        _ => shown(x, y),
    };
    let png = PngFile::new(Colour::Grey, 8);
    lab.write("upright.png", png.encode_shown());
    let upright = answer(&lab, "run upright.png");
    for orientation in 0..=9 {
        let turned = png.clone().chunk(*b"eXIf", &exif(orientation));
        let turned = turned.encode(|x, y, _| stored(orientation, x, y).into());
        lab.write("turned.png", turned);
        let found = answer(&lab, "run turned.png");
        assert_eq!(found["probabilities"], upright["probabilities"]);
        let turned = jpeg(|x, y| [stored(orientation, x, y); 3]);
        lab.write("turned.jpg", with_exif(&turned, orientation));
        assert_near(&answer(&lab, "run turned.jpg"), &upright);
    }
}

#[test]
fn every_jpeg_kind_is_read() {
    let lab = trained();
    lab.write("upright.png", PngFile::new(Colour::Grey, 8).encode_shown());
    let upright = answer(&lab, "run upright.png");
    lab.write("colour.jpg", jpeg_shown());
    lab.write("trailing.jpg", [&jpeg_shown()[..], b"more"].concat());
    // Of Pillow, by kinds.py.
    lab.write("grey.jpg", include_bytes!("grey.jpg"));
    lab.write("progressive.jpg", include_bytes!("progressive.jpg"));
    lab.write("cmyk.jpg", include_bytes!("cmyk.jpg"));
    lab.write("subsampled.jpg", include_bytes!("subsampled.jpg"));
    for name in [
        "colour",
        "trailing",
        "grey",
        "progressive",
        "cmyk",
        "subsampled",
    ] {
        assert_near(&answer(&lab, &format!("run {name}.jpg")), &upright);
    }
}

#[test]
fn sixteen_bits_with_a_low_range_are_told() {
    let lab = trained();
    let png = PngFile::new(Colour::Grey, 16);
    let of = |most: u16| png.encode(|x, y, _| u16::from(shown(x, y) > 0) * most);
    lab.write("low.png", of(4095));
    lab.write("enough.png", of(4096));
    let run = lab.vbd("predict run low.png enough.png --json");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_says(&run, &["warning: low.png: ", "4095 of 65535", "multiply"]);
    assert!(!run.stderr.contains("enough.png"), "{}", run.stderr);
    let eight = PngFile::new(Colour::Grey, 8);
    let dark = eight.encode(|x, y, _| u16::from(shown(x, y) > 0) * 15);
    lab.write("dark.png", dark);
    assert_eq!(lab.vbd("predict run dark.png").stderr, "");
}
