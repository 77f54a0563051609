//! Files built by hand, one written by scipy, and one test for each way of being malformed.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::*;
use crate::data::load;

const UINT8: u32 = 9;
const DOUBLE: u32 = 6;
const MI_UINT8: u32 = 2;
const MI_DOUBLE: u32 = 9;

/// An element: a small one inside its tag.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    let mut bytes = if (1..=4).contains(&len) {
        [&(len << 16 | kind).to_le_bytes()[..], data].concat()
    } else {
        [&kind.to_le_bytes()[..], &len.to_le_bytes(), data].concat()
    };
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// An array of values stored as `stored`.
fn array(name: &str, class: u32, shape: &[u32], stored: u32, data: &[u8]) -> Vec<u8> {
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    element(
        14,
        &[
            element(6, &words(&[class, 0])),
            element(5, &words(shape)),
            element(1, name.as_bytes()),
            element(stored, data),
        ]
        .concat(),
    )
}

fn packed(array: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(array).unwrap();
    let data = encoder.finish().unwrap();
    // Not padded.
    let len = u32::try_from(data.len()).unwrap();
    [&15_u32.to_le_bytes()[..], &len.to_le_bytes(), &data].concat()
}

fn file(arrays: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file, made by a test".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0, 1, b'I', b'M']);
    bytes.extend(arrays.concat());
    bytes
}

/// Value of a pixel, different at each place.
fn pixel(image: usize, channel: usize, row: usize, column: usize) -> u8 {
    (row * 7 + column * 3 + channel * 90 + image * 11).to_le_bytes()[0]
}

/// `X` of these images, column by column.
fn images(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for image in 0..count {
        for channel in 0..3 {
            for column in 0..SIDE {
                bytes.extend((0..SIDE).map(|row| pixel(image, channel, row, column)));
            }
        }
    }
    bytes
}

fn x(count: usize) -> Vec<u8> {
    let shape = [32, 32, 3, u32::try_from(count).unwrap()];
    array("X", UINT8, &shape, MI_UINT8, &images(count))
}

fn y(labels: &[u8]) -> Vec<u8> {
    array(
        "y",
        UINT8,
        &[u32::try_from(labels.len()).unwrap(), 1],
        MI_UINT8,
        labels,
    )
}

/// Loads a set whose training file has these bytes.
fn load_with(train: &[u8]) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let mut file = std::fs::File::create(folder.path().join(name)).unwrap();
        file.write_all(bytes).unwrap();
    };
    put(FILE_NAMES[0], train);
    put(FILE_NAMES[1], &file(&[x(2), y(&[10, 3])]));
    load("svhn", Some(folder.path()))
}

#[track_caller]
fn assert_refused(train: &[u8], words: &[&str]) {
    let message = load_with(train).unwrap_err().to_string();
    for word in [FILE_NAMES[0]].iter().chain(words) {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

#[track_caller]
fn assert_is_small(set: &Dataset, labels: &[u8]) {
    assert_eq!((set.shape, set.classes), ([3, 32, 32], 10));
    assert_eq!(set.train.labels(), Some(labels));
    for image in 0..labels.len() {
        let mut pixels = set.train.input(image).bytes().unwrap().iter();
        for channel in 0..3 {
            for row in 0..SIDE {
                for column in 0..SIDE {
                    let expected = pixel(image, channel, row, column);
                    assert_eq!(
                        pixels.next(),
                        Some(&expected),
                        "{image} {channel} {row} {column}"
                    );
                }
            }
        }
    }
}

#[test]
fn images_are_read_row_by_row_and_the_label_10_is_the_digit_0() {
    let labels = [1, 10, 9, 10, 2];
    let digits = [1, 0, 9, 0, 2];
    let doubles: Vec<u8> = labels
        .iter()
        .flat_map(|&label| f64::from(label).to_le_bytes())
        .collect();
    let other = array("other", DOUBLE, &[1, 1], MI_DOUBLE, &1.5_f64.to_le_bytes());
    for arrays in [
        vec![x(5), y(&labels)],
        vec![packed(&x(5)), packed(&y(&labels))],
        // In any order, beside others, and in doubles, which may be stored as bytes.
        vec![other.clone(), y(&labels), packed(&other), packed(&x(5))],
        vec![x(5), array("y", DOUBLE, &[5, 1], MI_DOUBLE, &doubles)],
        vec![x(5), array("y", DOUBLE, &[5, 1], MI_UINT8, &labels)],
    ] {
        let set = load_with(&file(&arrays)).unwrap();
        assert_is_small(&set, &digits);
        assert_eq!(set.test.labels(), Some(&[0, 3][..]));
    }
}

#[test]
fn a_file_that_scipy_wrote_is_read() {
    for golden in [
        &include_bytes!("golden.mat")[..],
        include_bytes!("golden_packed.mat"),
    ] {
        assert_is_small(&load_with(golden).unwrap(), &[1, 0, 9]);
    }
}

#[test]
fn arrays_that_are_not_those_of_the_set_are_named() {
    let y5 = || y(&[1, 2, 3, 4, 5]);
    let with_x = |shape: &[u32], class, stored, data: &[u8]| {
        file(&[array("X", class, shape, stored, data), y5()])
    };
    let five = images(5);
    let doubles = vec![0; five.len() * 8];
    for (bytes, words) in [
        (file(&[y5()]), &["array `X` is missing"][..]),
        (file(&[x(5)]), &["array `y` is missing"]),
        (
            with_x(&[32, 3, 32, 5], UINT8, MI_UINT8, &five),
            &["shape of `X` is [32, 3, 32, 5]", "[32, 32, 3, images]"],
        ),
        (
            with_x(&[32, 32, 15], UINT8, MI_UINT8, &five),
            &["shape of `X` is [32, 32, 15]"],
        ),
        (
            with_x(&[32, 32, 3, 0], UINT8, MI_UINT8, &[]),
            &["shape of `X` is [32, 32, 3, 0]"],
        ),
        (
            with_x(&[32, 32, 3, 5], DOUBLE, MI_DOUBLE, &doubles),
            &["type of `X` is double", "uint8"],
        ),
        // Bytes stored as doubles, which MATLAB does not write.
        (
            with_x(&[32, 32, 3, 5], UINT8, MI_DOUBLE, &doubles),
            &["type of `X`"],
        ),
        (
            with_x(&[32, 32, 3, 5], 4, 16, &five),
            &["type of `X` is class 4", "real numbers"],
        ),
        (
            with_x(&[32, 32, 3, 5], UINT8 | 0x800, MI_UINT8, &five),
            &["complex"],
        ),
        (
            with_x(&[32, 32, 3, 5], UINT8, 16, &five),
            &["values of `X` is of type 16"],
        ),
        (
            with_x(&[32, 32, 3, 6], UINT8, MI_UINT8, &five),
            &["values of `X` is 15360 bytes for shape [32, 32, 3, 6]"],
        ),
        (
            file(&[x(4), y5()]),
            &["shape of `y` is [5, 1]: expected [4, 1]"],
        ),
        (
            file(&[x(2), y(&[1, 0])]),
            &[
                "label in `y` is 0 of image 1",
                "1 to 10, where 10 is the digit 0",
            ],
        ),
        (
            file(&[x(2), y(&[11, 1])]),
            &["label in `y` is 11 of image 0"],
        ),
        (
            file(&[
                x(1),
                array("y", DOUBLE, &[1, 1], MI_DOUBLE, &1.5_f64.to_le_bytes()),
            ]),
            &["label in `y` is 1.5"],
        ),
        (
            file(&[
                x(1),
                array("y", DOUBLE, &[1, 1], MI_DOUBLE, &f64::NAN.to_le_bytes()),
            ]),
            &["label in `y` is NaN"],
        ),
    ] {
        assert_refused(&bytes, words);
    }
}

#[test]
fn files_of_another_kind_are_named_for_what_they_are() {
    let whole = file(&[x(2), y(&[1, 2])]);
    let mut newer = b"MATLAB 7.3 MAT-file".to_vec();
    newer.resize(600, b' ');
    assert_refused(&newer, &["version is 7.3, which is HDF5", "-v7"]);
    let mut big_endian = whole.clone();
    big_endian[124..128].copy_from_slice(&[1, 0, b'M', b'I']);
    assert_refused(&big_endian, &["version is 5, big-endian"]);
    assert_refused(b"", &["content is cut off after 0 bytes"]);
    let page = [&b"<!DOCTYPE html><html>"[..], &[b' '; 200]].concat();
    assert_refused(&page, &["since this is an HTML page"]);
    // 4 GiB that are not there are not allocated.
    let mut huge = whole.clone();
    huge[132..136].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_refused(&huge, &["element is cut off", "of 4294967295 bytes"]);
    let shape = [32, 32, 3, u32::MAX];
    assert_refused(
        &file(&[array("X", UINT8, &shape, MI_UINT8, &images(1))]),
        &["values of `X`"],
    );
}

#[test]
fn without_files_the_missing_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = || load("svhn", Some(folder.path())).unwrap_err().to_string();
    assert!(message().contains("train_32x32.mat and test_32x32.mat not found"));
    let bytes = file(&[x(1), y(&[1])]);
    vbd_net::file::write_atomic(&folder.path().join(FILE_NAMES[1]), &bytes).unwrap();
    assert!(message().ends_with("missing `train_32x32.mat`"));
}

#[test]
fn a_set_of_another_size_than_the_published_one_is_told() {
    let set = load_with(&file(&[x(1), y(&[1])])).unwrap();
    let warnings = crate::data::warnings(&set).unwrap();
    let text = warnings[0].to_string();
    assert!(
        text.contains("not the published files: train_32x32.mat, test_32x32.mat"),
        "{text}"
    );
}

proptest! {
    /// Changed and cut files are read or refused, and never panic.
    #[test]
    fn damaged_files_are_refused_without_a_panic(
        is_packed: bool,
        changes in prop::collection::vec((0_usize..400, any::<u8>()), 0..4),
        cut in prop::option::of(0_usize..7000),
    ) {
        let arrays = [x(2), y(&[1, 2])];
        let mut bytes = if is_packed {
            file(&arrays.map(|array| packed(&array)))
        } else {
            file(&arrays)
        };
        for (place, byte) in changes {
            let len = bytes.len();
            bytes[place % len] = byte;
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        if let Ok(set) = load_with(&bytes) {
            prop_assert_eq!(set.train.len(), 2);
        }
    }
}
