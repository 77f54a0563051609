//! Archives as numpy writes them, and one test for each way of being odd or hostile.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write what an atomic write would refuse or take too long for"
)]

use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

/// An array in numpy's format.
fn npy(descr: &str, order: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), bytes].concat()
}

/// The arrays of a good set: three training samples and two test samples of 2 x 2, labels in int32.
fn arrays() -> Vec<(&'static str, Vec<u8>)> {
    let labels = |labels: &[i32]| -> Vec<u8> {
        labels
            .iter()
            .flat_map(|label| label.to_le_bytes())
            .collect()
    };
    vec![
        ("x_train", npy("'|u1'", "False", "(3, 2, 2)", &[7; 12])),
        (
            "y_train",
            npy("'<i4'", "False", "(3,)", &labels(&[0, 1, 2])),
        ),
        ("x_test", npy("'|u1'", "False", "(2, 2, 2)", &[9; 8])),
        ("y_test", npy("'<i4'", "False", "(2,)", &labels(&[2, 0]))),
    ]
}

fn archive(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        writer
            .start_file(file_of(name), SimpleFileOptions::default())
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read_bytes(bytes: &[u8]) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    std::fs::write(&path, bytes).unwrap();
    read("set", &path, None)
}

/// Asserts that the set with one array changed is refused, by an error that names file, array and
/// these words.
#[track_caller]
fn assert_refused(array: &str, bytes: Vec<u8>, words: &[&str]) {
    let mut arrays = arrays();
    let place = arrays.iter().position(|(name, _)| *name == array).unwrap();
    arrays[place].1 = bytes;
    let message = read_bytes(&archive(&arrays)).unwrap_err().to_string();
    for word in ["set.npz", array].iter().chain(words) {
        assert!(message.contains(word), "no `{word}` in {message}");
    }
}

#[test]
fn what_numpy_writes_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/npz");
    let set = read("own", &folder.join("golden.npz"), None).unwrap();
    assert_eq!((set.shape, set.classes, set.train.len()), ([1, 2, 2], 3, 3));
    let pixels: Vec<u8> = (0..12).collect();
    assert_eq!(set.train.inputs().bytes(), Some(&pixels[..]));
    assert_eq!(set.train.labels(), Some(&[0, 2, 1][..]));
    assert_eq!(set.test.inputs().bytes(), Some(&[100, 101, 102, 103][..]));
    assert_eq!(set.test.labels(), Some(&[2][..]));
    let set = read("own", &folder.join("golden_f32.npz"), None).unwrap();
    assert_eq!((set.shape, set.classes), ([1, 1, 3], 0));
    assert_eq!(
        set.train.inputs().to_f32(),
        [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
    );
    assert_eq!(set.test.inputs().to_f32(), [0.5, 1.0, 1.5, -1.0, -0.5, 0.0]);
}

#[test]
fn labels_of_every_integer_type_and_in_a_column_are_read() {
    let of = |descr: &str, shape: &str, bytes: &[u8]| {
        let mut arrays = arrays();
        arrays[1].1 = npy(descr, "False", shape, bytes);
        read_bytes(&archive(&arrays))
            .unwrap()
            .train
            .labels()
            .unwrap()
            .to_vec()
    };
    assert_eq!(of("'|i1'", "(3,)", &[1, 2, 3]), [1, 2, 3]);
    assert_eq!(of("'>u2'", "(3,)", &[0, 1, 0, 2, 0, 255]), [1, 2, 255]);
    assert_eq!(of("'<u2'", "(3, 1)", &[1, 0, 2, 0, 3, 0]), [1, 2, 3]);
    let wide: Vec<u8> = [5_i64, 6, 7]
        .iter()
        .flat_map(|label| label.to_be_bytes())
        .collect();
    assert_eq!(
        of("\">i8\"", "(3L,)".replace('L', "").as_str(), &wide),
        [5, 6, 7]
    );
}

#[test]
fn channels_come_first() {
    let mut arrays = arrays();
    arrays[0].1 = npy("'|u1'", "False", "(3, 3, 4, 5)", &[1; 180]);
    arrays[2].1 = npy("'|u1'", "False", "(2, 3, 4, 5)", &[1; 120]);
    assert_eq!(read_bytes(&archive(&arrays)).unwrap().shape, [3, 4, 5]);
}

#[test]
fn arrays_of_another_type_order_or_shape_are_refused() {
    let x = |descr: &str| npy(descr, "False", "(3, 2, 2)", &[0; 96]);
    assert_refused(
        "x_train",
        x("'<f8'"),
        &["type", "float64", ".astype(\"float32\")"],
    );
    assert_refused("x_train", x("'<i8'"), &["type", "int64"]);
    assert_refused("x_train", x("'|O'"), &["type", "object", "unpickled"]);
    assert_refused("x_train", x("'<U4'"), &["type", "`<U4`"]);
    assert_refused(
        "x_train",
        x("[('a', '<f4'), ('b', '<i2')]"),
        &["type", "numbers"],
    );
    let fortran = npy("'|u1'", "True", "(3, 2, 2)", &[0; 12]);
    assert_refused(
        "x_train",
        fortran,
        &["order", "Fortran", "ascontiguousarray"],
    );
    for shape in ["(12,)", "()", "(3, 1, 1, 2, 2)", "(0, 2, 2)", "(3, 0)"] {
        let len = if shape.contains('0') { 0 } else { 12 };
        let len = if shape == "()" { 1 } else { len };
        let array = npy("'|u1'", "False", shape, &vec![0; len]);
        assert_refused("x_train", array, &["shape", "[n, features]"]);
    }
    let wider = npy("'|u1'", "False", "(2, 2, 3)", &[0; 12]);
    assert_refused(
        "x_test",
        wider,
        &["shape of a sample", "[1, 2, 3]", "[1, 2, 2]"],
    );
    let floats = npy("'<f4'", "False", "(2, 2, 2)", &[0; 32]);
    assert_refused(
        "x_test",
        floats,
        &["type", "float32", "uint8, as in `x_train`"],
    );
}

#[test]
fn values_and_labels_out_of_range_are_refused() {
    let mut bytes = [0; 48];
    bytes[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
    let nan = npy("'<f4'", "False", "(3, 2, 2)", &bytes);
    assert_refused("x_train", nan, &["value", "NaN in sample 1", "finite"]);
    let labels = |descr: &str, shape: &str, bytes: &[u8]| npy(descr, "False", shape, bytes);
    assert_refused(
        "y_train",
        labels("'<f4'", "(3,)", &[0; 12]),
        &["type", "float32", "integers"],
    );
    assert_refused(
        "y_train",
        labels("'<f8'", "(3,)", &[0; 24]),
        &["float64", "integers", ".astype(\"int64\")"],
    );
    assert_refused(
        "y_train",
        labels("'|O'", "(3,)", b"\x80\x04K\x00."),
        &["type", "object", "unpickled"],
    );
    assert_refused("y_train", labels("'|b1'", "(3,)", &[0; 3]), &["bool"]);
    assert_refused(
        "y_train",
        labels("'|i1'", "(3,)", &[0, 255, 0]),
        &["label", "-1 of sample 1"],
    );
    assert_refused(
        "y_train",
        labels("'<u2'", "(3,)", &[0, 1, 0, 0, 0, 0]),
        &["256 of sample 0"],
    );
    assert_refused(
        "y_train",
        labels("'|u1'", "(2,)", &[0; 2]),
        &["shape", "[2]", "[3], a label"],
    );
    assert_refused(
        "y_train",
        labels("'|u1'", "(3, 10)", &[0; 30]),
        &["shape", "[3, 10]"],
    );
}

#[test]
fn what_is_cut_off_or_lies_about_its_size_is_refused() {
    let whole = npy("'|u1'", "False", "(3, 2, 2)", &[0; 12]);
    for len in 0..whole.len() {
        assert_refused("x_train", whole[..len].to_vec(), &[]);
    }
    assert_refused(
        "x_train",
        [&whole[..], &[0]].concat(),
        &["data", "followed by more"],
    );
    let huge = npy("'|u1'", "False", "(4294967295, 4294967295)", &[0; 12]);
    assert_refused("x_train", huge, &["size", "at most 2^32"]);
    let large = npy("'|u1'", "False", "(3, 1000000000)", &[0; 12]);
    assert_refused("x_train", large, &["data", "cut off after 12 bytes"]);
    let mut long = whole.clone();
    long[6] = 2;
    long.splice(8..10, u32::MAX.to_le_bytes());
    assert_refused("x_train", long, &["header length"]);
    assert_refused("x_train", b"\x93NUMPX\x01\x00".to_vec(), &["magic number"]);
    let mut newer = whole.clone();
    newer[6] = 4;
    assert_refused("x_train", newer, &["version", "1 to 3"]);
    for header in [
        "",
        "{}",
        "{'descr': '|u1'}",
        "{'shape': (1,), 'descr'",
        "[1]",
        "{:}",
    ] {
        let len = u16::try_from(header.len()).unwrap().to_le_bytes();
        let array = [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes()].concat();
        assert_refused("x_train", array, &["header"]);
    }
}

#[test]
fn a_damaged_byte_that_leaves_a_valid_array_is_found_by_the_checksum() {
    let mut arrays = arrays();
    let pixels: Vec<u8> = (60..72).collect();
    arrays[0].1 = npy("'|u1'", "False", "(3, 2, 2)", &pixels);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in &arrays {
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(file_of(name), stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    let mut bytes = writer.finish().unwrap().into_inner();
    assert!(read_bytes(&bytes).is_ok());
    let place = bytes.windows(12).position(|part| part == pixels).unwrap();
    bytes[place] ^= 1;
    let message = read_bytes(&bytes).unwrap_err().to_string();
    assert!(message.contains("`x_train`: data is damaged"), "{message}");
}

#[test]
fn labels_that_start_at_one_and_empty_classes_are_told() {
    let told = |train: [u8; 3], test: [u8; 2]| {
        let mut arrays = arrays();
        arrays[1].1 = npy("'|u1'", "False", "(3,)", &train);
        arrays[3].1 = npy("'|u1'", "False", "(2,)", &test);
        let set = read_bytes(&archive(&arrays)).unwrap();
        let warnings = crate::data::warnings(&set).unwrap();
        let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        texts.join("\n")
    };
    assert!(told([1, 2, 3], [3, 1]).contains("subtract 1 from each label"));
    assert!(told([0, 1, 3], [0, 1]).contains("class 2 has no training sample"));
    assert_eq!(
        told([0, 1, 2], [2, 1]),
        "data set `set`: class 0 has no test sample: the test error does not cover it"
    );
}

#[test]
fn missing_arrays_are_named_with_those_that_are_there() {
    for (place, name) in [(0, "x_train"), (1, "y_train"), (2, "x_test"), (3, "y_test")] {
        let mut arrays = arrays();
        arrays.remove(place);
        let message = read_bytes(&archive(&arrays)).unwrap_err().to_string();
        assert!(
            message.contains(&format!("`{name}`: array is missing")),
            "{message}"
        );
    }
    let other = [("images", npy("'|u1'", "False", "(1, 1)", &[0]))];
    let message = read_bytes(&archive(&other)).unwrap_err().to_string();
    assert!(message.contains("the file has images"), "{message}");
    let mut unlabelled = arrays();
    unlabelled.remove(3);
    unlabelled.remove(1);
    let set = read_bytes(&archive(&unlabelled)).unwrap();
    assert_eq!((set.classes, set.train.labels()), (0, None));
}

#[test]
fn what_is_no_archive_is_named_for_what_it_is() {
    for (bytes, word) in [
        (&b"\x93NUMPY\x01\0"[..], ".npy file"),
        (b"<!DOCTYPE html>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"nothing", "set.npz"),
    ] {
        let message = read_bytes(bytes).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_or_a_cut_never_panics(place in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut bytes = archive(&arrays());
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] = byte;
        }
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn a_changed_byte_of_an_array_never_panics(place in any::<prop::sample::Index>(), byte: u8) {
        let mut arrays = arrays();
        let place = place.index(arrays[0].1.len());
        arrays[0].1[place] = byte;
        let _ = read_bytes(&archive(&arrays));
    }
}
