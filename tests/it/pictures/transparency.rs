//! Transparent pixels are laid on a ground, which stderr names.

use super::build::{Colour, PngFile, shown};
use super::*;

/// Dark ink in the alpha alone, as a web canvas saves it.
fn ink_in_alpha() -> Vec<u8> {
    PngFile::new(Colour::Rgba, 8).encode(|x, y, channel| match channel {
        3 => shown(x, y).into(),
        _ => 0,
    })
}

/// Bright ink on transparent pixels, with a pixel of another color so that the ink is not the alpha's alone.
fn bright_on_transparent(file: &PngFile) -> Vec<u8> {
    let most = u16::MAX >> (16 - file.depth);
    file.encode(|x, y, channel| match (channel, shown(x, y) > 0) {
        (3, false) => u16::from((x, y) == (7, 7)) * most,
        (_, true) => most,
        _ => 0,
    })
}

#[test]
fn ink_in_the_alpha_alone_needs_a_known_ground() {
    let lab = trained();
    lab.write("canvas.png", ink_in_alpha());
    let hint = ["hint: ", "--background COLOR", "--invert"];
    assert_refused(&lab, "plain canvas.png", &hint);
    assert_refused(
        &lab,
        "plain canvas.png",
        &["the color behind them is unknown"],
    );
    let words = "predict plain canvas.png --background white --invert --json";
    let run = lab.vbd(words);
    assert_eq!(json_lines(&run.stdout)[0]["class"], 2, "{run:?}");
    assert_says(
        &run,
        &["note: canvas.png: transparent pixels are shown on white (--background)"],
    );
}

#[test]
fn a_picture_that_does_not_show_on_its_ground_is_refused() {
    let lab = trained();
    lab.write("canvas.png", ink_in_alpha());
    assert_refused(
        &lab,
        "run canvas.png --background black",
        &["nothing shows on black (--background)", "hint: "],
    );
    let clear = PngFile::new(Colour::Rgba, 8)
        .encode(|x, _, channel| u16::from(channel < 3) * u16::try_from(x).unwrap());
    lab.write("clear.png", clear);
    assert_refused(
        &lab,
        "run clear.png --background #123",
        &["nothing shows on #112233"],
    );
    // A constant picture without transparency is an answer like any other.
    lab.write(
        "black.png",
        PngFile::new(Colour::Grey, 8).encode(|_, _, _| 0),
    );
    answer(&lab, "run black.png");
}

#[test]
fn the_ground_is_the_border_of_the_mean_training_image_where_it_is_known() {
    let lab = trained();
    for depth in [8, 16] {
        let file = PngFile::new(Colour::Rgba, depth);
        lab.write("ink.png", bright_on_transparent(&file));
        lab.succeed("prune run -o pruned.safetensors");
        let blank = lab.json("inspect pruned.safetensors")["provenance"]["blank"].clone();
        let grey = blank[0].as_u64().unwrap();
        assert!((20..120).contains(&grey), "{blank}");
        let known = format!("#{grey:02x}{grey:02x}{grey:02x} (the border of the network's mean");
        for file in ["run", "pruned.safetensors"] {
            let run = lab.vbd(&format!("predict {file} ink.png --json"));
            assert_eq!(json_lines(&run.stdout)[0]["class"], 2, "{run:?}");
            assert_says(
                &run,
                &["note: ink.png: transparent pixels are shown on ", &known],
            );
        }
        lab.succeed("prune pruned.safetensors -o again.safetensors --values f16");
        lab.succeed("prune pruned.safetensors -o small.safetensors --structured");
        for file in ["again.safetensors", "small.safetensors"] {
            assert_says(&lab.vbd(&format!("predict {file} ink.png")), &[&known]);
        }
        let run = lab.vbd("predict plain ink.png --json");
        assert_says(&run, &["shown on white (the default)"]);
    }
}

#[test]
fn colour_keys_are_transparent() {
    let lab = trained();
    let grey = |depth: usize| {
        let key = u16::MAX >> (16 - depth);
        let file = PngFile::new(Colour::Grey, depth).chunk(*b"tRNS", &key.to_be_bytes());
        // The ground is the key, the ink is black.
        file.encode(|x, y, _| if shown(x, y) > 0 { 0 } else { key })
    };
    let rgb = |depth: usize| {
        let key = [1_u16, 2, 3].map(|channel| channel << (depth - 4));
        let bytes: Vec<u8> = key.iter().flat_map(|value| value.to_be_bytes()).collect();
        let file = PngFile::new(Colour::Rgb, depth).chunk(*b"tRNS", &bytes);
        file.encode(|x, y, channel| if shown(x, y) > 0 { 0 } else { key[channel] })
    };
    let palette = |depth: usize| {
        let file = PngFile::new(Colour::Palette, depth).chunk(*b"tRNS", &[255, 0]);
        file.encode(|x, y, _| u16::from(shown(x, y) == 0))
    };
    let mut files: Vec<Vec<u8>> = [1, 2, 4, 8, 16].map(grey).to_vec();
    files.extend([8, 16].map(rgb));
    files.extend([1, 2, 4, 8].map(palette));
    lab.write("grey.png", PngFile::new(Colour::Grey, 8).encode_shown());
    let expected = answer(&lab, "run grey.png")["probabilities"].clone();
    for (index, file) in files.iter().enumerate() {
        lab.write("key.png", file);
        let found = answer(&lab, "run key.png --background white --invert");
        assert_eq!(found["probabilities"], expected, "{index}");
    }
    // A 16-bit key is compared in 16 bits: its upper byte alone is no match.
    let file = PngFile::new(Colour::Grey, 16).chunk(*b"tRNS", &0xff00_u16.to_be_bytes());
    lab.write(
        "near.png",
        file.encode(|x, y, _| u16::from(shown(x, y) > 0) * 0xffff),
    );
    let run = lab.vbd("predict run near.png");
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
}

#[test]
fn half_transparent_pixels_blend() {
    let lab = trained();
    // 255 at alpha 128 on black is 128.
    let half = PngFile::new(Colour::GreyAlpha, 8).encode(|x, y, channel| match channel {
        0 => u16::from(shown(x, y)),
        _ => 128,
    });
    lab.write("half.png", half);
    let same = PngFile::new(Colour::Grey, 8).encode(|x, y, _| u16::from(shown(x, y)) / 255 * 128);
    lab.write("same.png", same);
    assert_eq!(
        answer(&lab, "run half.png --background #000")["probabilities"],
        answer(&lab, "run same.png")["probabilities"]
    );
}

#[test]
fn a_background_that_is_no_colour_is_wrong_usage() {
    let lab = Lab::new();
    for colour in ["red", "#12", "#12345g", "255"] {
        let run = lab.vbd(&format!("predict run a.png --background {colour}"));
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_says(&run, &["--background", "#rrggbb"]);
    }
}
