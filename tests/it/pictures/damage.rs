//! Damaged and oversized files are refused.

use super::build::{Colour, PngFile, chunk, jpeg_shown};
use super::*;

/// Asserts that `predict` refuses each of these files, in one run.
#[track_caller]
fn assert_all_refused(lab: &Lab, files: &[Vec<u8>], reasons: &[&str]) {
    let mut words = vec!["predict".to_owned(), "run".to_owned(), "--json".to_owned()];
    for (index, file) in files.iter().enumerate() {
        let name = format!("damaged-{index}");
        lab.write(&name, file);
        words.push(name);
    }
    let output = lab.command(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = json_lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(lines.len(), files.len());
    for line in lines {
        let error = line["error"].as_str();
        let error = error.unwrap_or_else(|| panic!("taken: {line}"));
        let is_told = reasons.iter().any(|reason| error.contains(reason));
        assert!(is_told, "{error}");
    }
}

fn cuts(whole: &[u8]) -> Vec<Vec<u8>> {
    (0..whole.len()).map(|len| whole[..len].to_vec()).collect()
}

#[test]
fn a_png_cut_anywhere_is_refused() {
    let lab = trained();
    for (colour, depths) in kinds::KINDS {
        let whole = PngFile::new(colour, depths[0]).encode_shown();
        let reasons = ["PNG is cut off", "neither a PNG nor a JPEG", "is empty"];
        assert_all_refused(&lab, &cuts(&whole), &reasons);
    }
}

#[test]
fn a_png_with_a_changed_byte_is_refused() {
    let lab = trained();
    let whole = PngFile::new(Colour::Rgb, 8).encode_shown();
    let changed = (0..whole.len()).map(|at| {
        let mut file = whole.clone();
        file[at] ^= 4;
        file
    });
    let reasons = ["PNG is", "neither a PNG nor a JPEG"];
    assert_all_refused(&lab, &changed.collect::<Vec<_>>(), &reasons);
}

#[test]
fn a_png_whose_checksums_hold_but_whose_data_do_not_is_refused() {
    let lab = trained();
    let whole = PngFile::new(Colour::Palette, 1).encode_shown();
    let start = whole.windows(4).position(|kind| kind == b"IDAT").unwrap() + 4;
    let end = whole.len() - 16;
    let with_data = |data: &[u8]| {
        let (before, after) = (&whole[..start - 8], &whole[end + 4..]);
        [before, &chunk(*b"IDAT", data), after].concat()
    };
    let data = &whole[start..end];
    let mut files: Vec<Vec<u8>> = (0..data.len()).map(|len| with_data(&data[..len])).collect();
    let mut wrong_sum = data.to_vec();
    *wrong_sum.last_mut().unwrap() ^= 1;
    files.push(with_data(&wrong_sum));
    // Palette of 2 colors, index 3.
    let index = PngFile::new(Colour::Palette, 2).encode(|x, _, _| u16::from(x == 5) * 3);
    files.push(index);
    assert_all_refused(&lab, &files, &["PNG is damaged", "PNG is cut off"]);
}

#[test]
fn a_jpeg_cut_anywhere_is_refused_with_and_without_an_end_marker() {
    let lab = trained();
    let files: [&[u8]; 4] = [
        &jpeg_shown(),
        include_bytes!("progressive.jpg"),
        include_bytes!("cmyk.jpg"),
        include_bytes!("subsampled.jpg"),
    ];
    for whole in files {
        let mut files = cuts(whole);
        let ended = files.iter().take(whole.len() - 2).skip(4);
        let ended = ended.map(|file| [file, &[0xff, 0xd9][..]].concat());
        files.extend(ended.collect::<Vec<_>>());
        let reasons = ["JPEG is", "EXIF", "neither a PNG nor a JPEG", "is empty"];
        assert_all_refused(&lab, &files, &reasons);
    }
}

#[test]
fn huge_sizes_are_refused_at_once_and_name_the_limit() {
    let lab = trained();
    let mut png = PngFile::new(Colour::Rgba, 16).encode_shown();
    png.drain(8..33);
    let side = 60_000_u32.to_be_bytes();
    let header = chunk(*b"IHDR", &[&side[..], &side, &[16, 6, 0, 0, 0]].concat());
    png.splice(8..8, header);
    lab.write("huge.png", png);
    let mut jpeg = jpeg_shown();
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]);
    let frame = frame.unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    lab.write("huge.jpg", jpeg);
    assert_refused(
        &lab,
        "run huge.png huge.jpg",
        &[
            "error: huge.png: declares 60000 x 60000 pixels: the limit is 67108864",
            "error: huge.jpg: declares 65535 x 65535 pixels: the limit is 67108864",
        ],
    );
}

#[test]
fn other_files_are_told_apart() {
    let lab = trained();
    lab.write("empty.png", b"");
    lab.write("text.png", b"GIF89a");
    assert_refused(&lab, "run empty.png", &["error: empty.png: file is empty"]);
    assert_refused(
        &lab,
        "run text.png",
        &["neither a PNG nor a JPEG", "hint: "],
    );
    assert_refused(&lab, "run none.png", &["error: none.png: No such file"]);
    let mut exif = PngFile::new(Colour::Grey, 8).chunk(*b"eXIf", b"nonsense");
    lab.write("exif.png", exif.encode_shown());
    assert_refused(&lab, "run exif.png", &["EXIF data are damaged", "hint: "]);
    exif.chunks.clear();
    lab.write("exif.png", exif.encode_shown());
    assert_eq!(answer(&lab, "run exif.png")["class"], 2);
}
