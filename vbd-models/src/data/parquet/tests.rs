//! Parquet files: what pyarrow wrote, and files that are damaged in every place.

use std::fs;
use std::path::{Path, PathBuf};

use vbd_net::file::write_atomic;

use super::read_split;

/// Written by golden.py.
const GOLDEN: &[u8] = include_bytes!("golden.parquet");
const SHAPE: [usize; 3] = [1, 28, 28];

fn written(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("0000.parquet");
    write_atomic(&path, bytes).unwrap();
    path
}

#[test]
fn images_and_labels_are_those_that_pyarrow_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let split = read_split(&written(folder.path(), GOLDEN), SHAPE, 10).unwrap();
    assert_eq!((split.shape, split.samples.len()), (SHAPE, 40));
    for row in 0..40_usize {
        let label = row % 10;
        assert_eq!(usize::from(split.samples.labels().unwrap()[row]), label);
        let pixels = split.samples.input(row).bytes().unwrap();
        for (place, &pixel) in pixels.iter().enumerate() {
            let (y, x) = (place / 28, place % 28);
            let is_bar = (4..24).contains(&y) && (2 * label + 3..2 * label + 6).contains(&x);
            assert_eq!(usize::from(pixel), if is_bar { 255 - row } else { 0 });
        }
    }
    // Grey images fill the planes of a set in colour.
    let split = read_split(&written(folder.path(), GOLDEN), [3, 28, 28], 10).unwrap();
    assert_eq!(split.samples.input(3).bytes().unwrap().len(), 3 * 784);
}

#[test]
fn what_does_not_fit_is_named_with_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), GOLDEN);
    for (shape, classes, told) in [
        (
            [1, 32, 32],
            10,
            "image is 28 x 28 in row 0: expected PNG or JPEG of 32 x 32",
        ),
        (SHAPE, 4, "label is 4 in row 4: expected 0 to 3"),
    ] {
        let error = read_split(&path, shape, classes).map(|_| ()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(told) && message.contains("0000.parquet"),
            "{message}"
        );
    }
}

#[test]
fn a_file_that_is_cut_or_changed_anywhere_is_an_error_or_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |bytes: &[u8]| read_split(&written(folder.path(), bytes), SHAPE, 10).map(|_| ());
    for len in [0, 4, 100, GOLDEN.len() / 2, GOLDEN.len() - 1] {
        assert!(at(&GOLDEN[..len]).is_err(), "{len}");
    }
    let page = at(b"<!DOCTYPE html>").unwrap_err().to_string();
    assert!(page.contains("expected a whole parquet file"), "{page}");
    // No panic leaves the reader; what its checks do not cover is read as it is.
    for place in (0..GOLDEN.len()).step_by(GOLDEN.len() / 150) {
        for bits in [0x01, 0x80, 0xff] {
            let mut bytes = GOLDEN.to_vec();
            bytes[place] ^= bits;
            let _ = at(&bytes);
        }
    }
    assert!(fs::read(written(folder.path(), GOLDEN)).is_ok() && at(GOLDEN).is_ok());
}
