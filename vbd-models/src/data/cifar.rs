//! CIFAR-10 in its binary version: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`,
//! each optionally gzipped.
//!
//! A file is a sequence of records: a label of 0 to 9, then 32 x 32 pixels of red, of green and of
//! blue, row by row. It has as many records as its length says.

use std::ops::Range;
use std::path::{Path, PathBuf};

use vbd_net::data::{Dataset, Samples};

use super::checksum::sha256_hex;
use super::idx::MAX_PIXELS;
use super::packed::{self, PackedFile};
use super::split::Split;
use crate::error::{Error, Result};

/// Names of the files, training batches first.
pub(super) const FILE_NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// SHA-256 of the published files.
const PUBLISHED: [&str; 6] = [
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
];
const SHAPE: [usize; 3] = [3, 32, 32];
const CLASS_NAMES: [&str; CLASSES as usize] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];
const CLASSES: u8 = 10;
const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
/// Records of each published file.
const BATCH: usize = 10_000;

/// Returns whether a directory has any of the files.
pub(super) fn has_any(folder: &Path) -> bool {
    let mut names = FILE_NAMES.into_iter();
    names.any(|name| packed::find(folder, name).is_some())
}

/// Reads the data set from a directory.
///
/// # Errors
/// [`Error::MissingFiles`]; [`Error::DataFile`] naming file and field if a file is not a whole
/// number of records, or a label is not below 10; [`Error::Gzip`] if unpacking fails.
pub(super) fn read_folder(name: &str, folder: &Path) -> Result<Dataset> {
    let paths = FILE_NAMES.map(|name| packed::find(folder, name));
    let missing = FILE_NAMES.into_iter().zip(&paths);
    let missing: Vec<&'static str> = missing
        .filter_map(|(name, path)| path.is_none().then_some(name))
        .collect();
    if !missing.is_empty() {
        let folder = folder.to_owned();
        return Err(Error::MissingFiles { folder, missing });
    }
    let paths: Vec<PathBuf> = paths.into_iter().flatten().collect();
    let (train, test) = paths.split_at(paths.len() - 1);
    let [train, test] = [read_split(train)?, read_split(test)?];
    let set = train.with_test(test, name, Some(CLASSES.into()))?;
    Ok(with_class_names(set))
}

/// Adds the names of the classes.
pub(super) fn with_class_names(set: Dataset) -> Dataset {
    set.with_class_names(CLASS_NAMES.map(str::to_owned).into())
}

fn read_split(paths: &[PathBuf]) -> Result<Split> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let records = read_records(path)?;
        let records = records.chunks_exact(RECORD).enumerate();
        for (number, record) in records {
            if record[0] >= CLASSES {
                return Err(Error::DataFile {
                    path: path.clone(),
                    field: "label".to_owned(),
                    found: format!("{} in record {number}", record[0]),
                    expected: format!("0 to {}", CLASSES - 1),
                });
            }
            labels.push(record[0]);
            pixels.extend_from_slice(&record[1..]);
        }
    }
    Ok(Split {
        shape: SHAPE,
        samples: Samples::new(pixels, labels, PIXELS)?,
        classes: CLASSES.into(),
    })
}

/// Reads a file of whole records.
fn read_records(path: &Path) -> Result<Vec<u8>> {
    let mut file = PackedFile::open(path)?;
    let mut bytes = Vec::new();
    file.read(&mut bytes, MAX_PIXELS + 1)?;
    let len = bytes.len();
    if len > 0 && len.is_multiple_of(RECORD) && len as u64 <= MAX_PIXELS {
        return Ok(bytes);
    }
    let found = match file.foreign() {
        Some(kind) => format!("{len} bytes, since this is {kind}"),
        None => format!("{len} bytes"),
    };
    Err(Error::DataFile {
        path: path.to_owned(),
        field: "length".to_owned(),
        found,
        expected: format!(
            "a multiple of {RECORD} (a label and {PIXELS} pixels per image), 1 to {} images",
            MAX_PIXELS / RECORD as u64
        ),
    })
}

/// Returns the names of the files that are not the published ones, by the samples that were read.
pub(super) fn unpublished(set: &Dataset) -> Vec<&'static str> {
    let splits = [(&set.train, 0..5), (&set.test, 5..6)];
    let differing = splits.into_iter().flat_map(|(samples, files)| {
        let is_whole = samples.len() == files.len() * BATCH;
        files.clone().filter(move |file| {
            let first = (file - files.start) * BATCH;
            !is_whole
                || sha256_of(samples, first..first + BATCH).as_deref() != Some(PUBLISHED[*file])
        })
    });
    differing.map(|file| FILE_NAMES[file]).collect()
}

/// Computes the SHA-256 of a file of these samples; `None` if they have no labels or are not bytes.
fn sha256_of(samples: &Samples, range: Range<usize>) -> Option<String> {
    let (labels, pixels) = (samples.labels()?, samples.inputs().bytes()?);
    let record = |index: usize| {
        let pixels = &pixels[index * PIXELS..][..PIXELS];
        [&labels[index..=index], pixels]
    };
    Some(sha256_hex(range.flat_map(record)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use vbd_net::file::write_atomic;

    use super::*;
    use crate::data::load;

    /// Records whose pixels tell place and record.
    fn records(labels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (record, &label) in labels.iter().enumerate() {
            bytes.push(label);
            bytes.extend((0..PIXELS).map(|place| ((place * 7 + record) % 251).to_le_bytes()[0]));
        }
        bytes
    }

    /// Writes files of 2 records each, the second of the label 0 to 5.
    fn write_small(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (label, name) in (0..).zip(FILE_NAMES) {
            write_atomic(&folder.join(name), &records(&[9, label])).unwrap();
        }
    }

    #[test]
    fn batches_are_read_in_order_from_each_of_their_folders() {
        for place in ["cifar-10", "cifar-10-batches-bin", "."] {
            let folder = tempfile::tempdir().unwrap();
            write_small(&folder.path().join(place));
            let set = load("CIFAR10", Some(folder.path())).unwrap();
            assert_eq!((set.shape, set.classes), ([3, 32, 32], 10));
            assert_eq!(set.name, "cifar-10");
            assert_eq!(set.train.labels().unwrap(), [9, 0, 9, 1, 9, 2, 9, 3, 9, 4]);
            assert_eq!(set.test.labels().unwrap(), [9, 5]);
            let expected = &records(&[9, 2])[RECORD + 1..];
            assert_eq!(set.train.input(5).bytes(), Some(expected));
        }
    }

    #[test]
    fn a_set_that_is_not_the_published_one_is_told_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        write_small(folder.path());
        let set = load("cifar-10", Some(folder.path())).unwrap();
        let warnings = crate::data::warnings(&set).unwrap();
        let text = warnings[0].to_string();
        assert!(
            text.contains("not the published files: data_batch_1.bin"),
            "{text}"
        );
        assert!(text.contains("test_batch.bin"), "{text}");
    }

    #[test]
    fn gzipped_batches_are_read_and_damaged_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        write_small(folder.path());
        let plain = load("cifar-10", Some(folder.path())).unwrap();
        let path = folder.path().join("test_batch.bin");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&fs::read(&path).unwrap()).unwrap();
        let mut packed = encoder.finish().unwrap();
        fs::remove_file(&path).unwrap();
        let path = folder.path().join("test_batch.bin.gz");
        write_atomic(&path, &packed).unwrap();
        assert_eq!(load("cifar-10", Some(folder.path())).unwrap(), plain);
        packed.truncate(packed.len() / 2);
        write_atomic(&path, &packed).unwrap();
        let message = load("cifar-10", Some(folder.path()))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("test_batch.bin.gz: damaged gzip"),
            "{message}"
        );
    }

    #[test]
    fn files_that_are_not_whole_records_are_named_with_what_is_wrong() {
        let message = |file: usize, bytes: Option<&[u8]>| {
            let folder = tempfile::tempdir().unwrap();
            write_small(folder.path());
            let path = folder.path().join(FILE_NAMES[file]);
            match bytes {
                Some(bytes) => write_atomic(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let message = load("cifar-10", Some(folder.path()))
                .unwrap_err()
                .to_string();
            assert!(message.contains(FILE_NAMES[file]), "{message}");
            message
        };
        let whole = records(&[0, 1]);
        let cut = message(2, Some(&whole[..whole.len() - 1]));
        assert!(
            cut.contains("length is 6145 bytes: expected a multiple of 3073"),
            "{cut}"
        );
        let empty = message(5, Some(&[]));
        assert!(
            empty.contains("length is 0 bytes, since this is an empty file"),
            "{empty}"
        );
        let page = message(0, Some(b"<!DOCTYPE html><html>"));
        assert!(page.contains("since this is an HTML page"), "{page}");
        let label = message(4, Some(&records(&[3, 10])));
        assert!(
            label.contains("label is 10 in record 1: expected 0 to 9"),
            "{label}"
        );
        assert!(message(3, None).contains("missing `data_batch_4.bin`"));
    }

    #[test]
    fn without_files_the_expected_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = load("cifar-10", Some(folder.path()))
            .unwrap_err()
            .to_string();
        for word in ["data_batch_1.bin", "cifar-10-batches-bin", "--data-dir DIR"] {
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    #[ignore = "needs VBD_DATA_DIR with cifar-10"]
    fn real_cifar_10_has_the_published_checksums() {
        let folder = PathBuf::from(std::env::var_os("VBD_DATA_DIR").unwrap());
        let set = load("cifar-10", Some(&folder)).unwrap();
        assert_eq!(set.train.len(), 50_000);
        // A copy of the test images may lack some.
        let differing = unpublished(&set);
        if set.test.len() == BATCH {
            assert_eq!(differing, [""; 0]);
        } else {
            assert_eq!(differing, ["test_batch.bin"]);
        }
        let mut counts = [0; CLASSES as usize];
        for &label in set.train.labels().unwrap() {
            counts[usize::from(label)] += 1;
        }
        assert_eq!(counts, [5000; 10]);
    }
}
