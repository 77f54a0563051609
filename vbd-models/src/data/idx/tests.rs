//! One test for each way of being malformed, round trips, and mutated files.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use vbd_net::data::{Dataset, Samples};

use super::*;
use crate::error::Error;

/// Grey images of 3 x 2 pixels, three classes.
fn small() -> Dataset {
    let samples = |len: u8| {
        let labels = (0..len).map(|index| index % 3).collect();
        Samples::new((0..len * 6).collect::<Vec<u8>>(), labels, 6).unwrap()
    };
    Dataset::new("small", [1, 3, 2], 3, samples(5), samples(3)).unwrap()
}

/// Writes a file without the fsync of `write_atomic`, which thousands of cases would wait for.
fn put(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads the small set with one file's bytes changed.
fn read_with(file: usize, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let mut change = Some(change);
    for (index, idx_file) in files(&small()).unwrap().iter().enumerate() {
        let bytes = match change.take_if(|_| index == file) {
            Some(change) => change(idx_file.bytes()),
            None => idx_file.bytes(),
        };
        put(&folder.path().join(idx_file.name), &bytes);
    }
    read_folder("small", folder.path(), None)
}

/// Asserts that a changed file is refused, by an error that names it, the field and the right value.
fn assert_refused(file: usize, words: [&str; 2], change: impl FnOnce(&mut Vec<u8>)) {
    let result = read_with(file, |mut bytes| {
        change(&mut bytes);
        bytes
    });
    let message = result.unwrap_err().to_string();
    for word in [FILE_NAMES[file]].into_iter().chain(words) {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

fn set_word(bytes: &mut [u8], index: usize, word: u32) {
    bytes[4 * index..][..4].copy_from_slice(&word.to_be_bytes());
}

/// From a name and bytes to a file.
type Form = dyn Fn(&str, Vec<u8>) -> (String, Vec<u8>);

#[test]
fn a_set_survives_plain_gzipped_and_under_dotted_names() {
    let set = small();
    let plain = |name: &str, bytes: Vec<u8>| (name.to_owned(), bytes);
    let zipped = |name: &str, bytes: Vec<u8>| (format!("{name}.gz"), gzip(&bytes));
    let dotted = |name: &str, bytes: Vec<u8>| (name.replace("-idx", ".idx"), gzip(&bytes));
    let forms: [&Form; 3] = [&plain, &zipped, &dotted];
    for form in forms {
        let folder = tempfile::tempdir().unwrap();
        for file in files(&set).unwrap() {
            let (name, bytes) = form(file.name, file.bytes());
            put(&folder.path().join(name), &bytes);
        }
        assert_eq!(read_folder("small", folder.path(), None).unwrap(), set);
    }
}

#[test]
fn gzip_members_one_after_another_are_one_file() {
    let read = read_with(1, |bytes| [gzip(&bytes[..6]), gzip(&bytes[6..])].concat());
    assert_eq!(read.unwrap(), small());
}

#[test]
fn channels_survive() {
    let samples = || Samples::new((0..36).collect::<Vec<u8>>(), vec![0, 1, 2], 12).unwrap();
    let set = Dataset::new("rgb", [3, 2, 2], 3, samples(), samples()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_folder(&set, folder.path()).unwrap();
    assert_eq!(read_folder("rgb", folder.path(), None).unwrap(), set);
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let set = small();
    let files = files(&set).unwrap();
    let [images, labels] = [0, 1].map(|file: usize| files[file].bytes());
    assert_eq!(
        images[..17],
        [0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 2, 0]
    );
    assert_eq!(labels, [0, 0, 8, 1, 0, 0, 0, 5, 0, 1, 2, 0, 1]);
}

#[test]
fn a_checksum_is_that_of_the_bytes() {
    for file in files(&small()).unwrap() {
        assert_eq!(
            file.sha256(),
            crate::data::checksum::sha256_hex([&file.bytes()[..]])
        );
    }
    let abc = crate::data::checksum::sha256_hex([&b"a"[..], b"bc"]);
    assert!(abc.starts_with("ba7816bf8f01cfea"), "{abc}"); // FIPS 180-2, appendix B.1
}

#[test]
fn an_empty_folder_names_the_four_files_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let message = read_folder("x", folder.path(), None)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with(&folder.path().display().to_string()),
        "{message}"
    );
    assert!(
        FILE_NAMES.iter().all(|name| message.contains(name)),
        "{message}"
    );
}

#[test]
fn a_missing_file_is_named_alone() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&small(), folder.path()).unwrap();
    std::fs::remove_file(folder.path().join(FILE_NAMES[2])).unwrap();
    let error = read_folder("x", folder.path(), None).unwrap_err();
    let Error::NoIdxFiles { missing, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(missing, [FILE_NAMES[2]]);
}

#[test]
fn a_missing_folder_is_named() {
    let error = read_folder("x", Path::new("/no/such/folder"), None).unwrap_err();
    assert!(
        error.to_string().starts_with("/no/such/folder: "),
        "{error}"
    );
}

#[test]
fn a_wrong_magic_number_is_refused() {
    assert_refused(0, ["magic number is 0x00000801", "0x00000803"], |b| {
        set_word(b, 0, 0x801);
    });
    assert_refused(1, ["magic number is 0x00000803", "0x00000801"], |b| {
        set_word(b, 0, 0x803);
    });
    assert_refused(2, ["magic number is 0x00000d03", "0x00000803"], |b| {
        set_word(b, 0, 0xd03);
    });
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    for len in 0..4 {
        assert_refused(0, ["magic number is cut off", "4 bytes"], |b| {
            b.truncate(len);
        });
    }
    assert_refused(0, ["number of images is cut off", "4 bytes"], |b| {
        b.truncate(7);
    });
    assert_refused(0, ["number of rows is cut off", "4 bytes"], |b| {
        b.truncate(8);
    });
    assert_refused(0, ["number of columns is cut off", "4 bytes"], |b| {
        b.truncate(15);
    });
    assert_refused(0, ["data is cut off after 0 bytes", "30 bytes"], |b| {
        b.truncate(16);
    });
    assert_refused(0, ["data is cut off after 29 bytes", "30 bytes"], |b| {
        b.truncate(45);
    });
    assert_refused(3, ["number of labels is cut off", "4 bytes"], |b| {
        b.truncate(4);
    });
    assert_refused(3, ["data is cut off after 1 bytes", "3 bytes"], |b| {
        b.truncate(9);
    });
}

#[test]
fn bytes_after_the_data_are_refused() {
    for file in 0..4 {
        assert_refused(file, ["followed by more", "bytes"], |b| b.push(0));
    }
}

#[test]
fn counts_that_disagree_are_refused() {
    assert_refused(1, ["number of labels is 4", "5, as many as images"], |b| {
        set_word(b, 1, 4);
        b.truncate(12);
    });
}

#[test]
fn test_images_of_another_size_are_refused() {
    assert_refused(2, ["image shape is [1, 2, 3]", "[1, 3, 2]"], |b| {
        set_word(b, 2, 2);
        set_word(b, 3, 3);
    });
}

#[test]
fn sizes_of_zero_are_refused() {
    for word in 1..4 {
        assert_refused(0, ["size is ", "nonzero dimensions"], |b| {
            set_word(b, word, 0);
        });
    }
    assert_refused(1, ["size is 0", "nonzero dimensions"], |b| {
        set_word(b, 1, 0);
    });
}

#[test]
fn sizes_that_no_file_has_are_refused_without_allocating() {
    assert_refused(
        0,
        ["product of the sizes is 5 x 1 x 4294967295 x 2", "at most"],
        |b| {
            set_word(b, 2, u32::MAX);
        },
    );
    assert_refused(0, ["product of the sizes", "at most 4294967296"], |b| {
        (1..4).for_each(|word| set_word(b, word, u32::MAX));
    });
    // Under the limit, but there are no such data: what is read is what there is.
    assert_refused(1, ["cut off after 5 bytes", "4294967295 bytes"], |b| {
        set_word(b, 1, u32::MAX);
    });
}

#[test]
fn a_label_out_of_range_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(&small(), folder.path()).unwrap();
    let message = read_folder("x", folder.path(), Some(2))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("train-labels-idx1-ubyte: label is 2: expected 0 to 1"),
        "{message}"
    );
}

#[test]
fn classes_are_counted_over_both_splits() {
    let read = read_with(3, |mut bytes| {
        *bytes.last_mut().unwrap() = 255;
        bytes
    });
    assert_eq!(read.unwrap().classes, 256);
}

#[test]
fn damaged_gzip_is_refused() {
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 9);
        bytes
    };
    let flipped = |mut bytes: Vec<u8>| {
        let checksum = bytes.len() - 6;
        bytes[checksum] ^= 1;
        bytes
    };
    let tail = |bytes: Vec<u8>| [bytes, b"tail".to_vec()].concat();
    let changes: [&dyn Fn(Vec<u8>) -> Vec<u8>; 3] = [&cut, &flipped, &tail];
    for change in changes {
        let error = read_with(0, |bytes| change(gzip(&bytes))).unwrap_err();
        let Error::Gzip { path, .. } = &error else {
            panic!("{error}")
        };
        assert!(path.ends_with(FILE_NAMES[0]), "{error}");
    }
}

#[test]
fn a_gzip_bomb_is_unpacked_no_further_than_its_header_says() {
    // 64 MB of zeros in 64 KB behind a header that tells of 30 bytes.
    let error = read_with(0, |mut bytes| {
        bytes.resize(64 << 20, 0);
        gzip(&bytes)
    });
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("followed by more than its 30 bytes"),
        "{message}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn mutated_files_never_panic(
        file in 0..4_usize,
        zipped: bool,
        edits in prop::collection::vec((0..60_usize, any::<u8>()), 1..4),
        len in prop::option::of(0..60_usize),
    ) {
        let result = read_with(file, |bytes| {
            let mut bytes = if zipped { gzip(&bytes) } else { bytes };
            for (index, byte) in edits {
                if let Some(place) = bytes.get_mut(index) {
                    *place = byte;
                }
            }
            if let Some(len) = len {
                bytes.truncate(len);
            }
            bytes
        });
        if let Ok(set) = result {
            prop_assert_eq!(set.train.inputs().bytes().unwrap().len(), set.train.len() * set.train.sample_len());
        }
    }
}
