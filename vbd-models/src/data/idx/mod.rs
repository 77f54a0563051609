//! IDX files: the format of MNIST and of a user's own image sets.
//!
//! A data set is a directory with four files, each optionally gzipped (`NAME` or `NAME.gz`) and
//! optionally with a dot (`train-images.idx3-ubyte`), as in some archives. If a file is there in several
//! forms, their content must be the same:
//!
//! | file | content |
//! |---|---|
//! | `train-images-idx3-ubyte` | training images |
//! | `train-labels-idx1-ubyte` | a label for each |
//! | `t10k-images-idx3-ubyte` | test images |
//! | `t10k-labels-idx1-ubyte` | a label for each |
//!
//! Without both label files, the data set is unlabeled.
//!
//! A file has a magic number, the dimensions (big-endian, 32 bits each), then the bytes:
//!
//! | magic | sizes | bytes |
//! |---|---|---|
//! | `0x00000801` | labels | the labels |
//! | `0x00000803` | images, rows, columns | pixels of grey images |
//! | `0x00000804` | images, channels, rows, columns | pixels, channel by channel |
//!
//! Files are untrusted: no allocation depends on the header alone.
//!
//! ```
//! use vbd_models::data::{digits, idx};
//!
//! let folder = tempfile::tempdir()?;
//! let set = digits(0, 30, 10)?;
//! idx::write_folder(&set, folder.path())?;
//! assert_eq!(idx::read_folder("digits", folder.path(), Some(10))?, set);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};

use vbd_net::data::{Dataset, Samples};

pub use self::read::MAX_PIXELS;
use self::read::{Idx, read_images, read_labels};
pub use self::write::{IdxFile, files, write_folder};
use super::split::Split;
use crate::error::{Error, Result};

/// Names of the four files: training images, training labels, test images, test labels.
pub const FILE_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// Maximum number of classes, since a label is one byte.
const MAX_CLASSES: usize = 256;

/// Reads a data set from a directory. Without both label files it is unlabeled. Without `classes`,
/// the number of classes follows from the largest label.
///
/// # Errors
/// [`Error::NoIdxFiles`] naming missing files; [`Error::Idx`] naming file and field if a file has a
/// wrong magic number or length, has no samples, empty images or over [`MAX_PIXELS`] bytes, if its
/// count differs from its partner's or its image size from the training images, or if a label is
/// not below `classes`; [`Error::TwoForms`] if two forms of a file differ; [`Error::Gzip`] if
/// unpacking fails.
pub fn read_folder(name: &str, folder: &Path, classes: Option<usize>) -> Result<Dataset> {
    let [train, test] = find(folder)?;
    read(name, &train, &test, classes)
}

/// Like [`read_folder`], for a data set with labels below `classes`.
pub(super) fn read_labelled_folder(name: &str, folder: &Path, classes: usize) -> Result<Dataset> {
    let [train, test] = find(folder)?;
    if train.labels.is_none() {
        let missing = vec![FILE_NAMES[1], FILE_NAMES[3]];
        let folder = folder.to_owned();
        return Err(Error::NoIdxFiles { folder, missing });
    }
    read(name, &train, &test, Some(classes))
}

/// File paths of a split.
struct SplitFiles {
    images: PathBuf,
    labels: Option<PathBuf>,
}

fn read(
    name: &str,
    train_files: &SplitFiles,
    test_files: &SplitFiles,
    classes: Option<usize>,
) -> Result<Dataset> {
    let train = read_split(train_files, classes)?;
    let test = read_split(test_files, classes)?;
    if test.shape != train.shape {
        return Err(Error::Idx {
            path: test_files.images.clone(),
            field: "image shape",
            found: format!("{:?}", test.shape),
            expected: format!("{:?}, as in {}", train.shape, train_files.images.display()),
        });
    }
    train.with_test(test, name, classes)
}

/// Returns whether a directory has any of the four files.
pub(super) fn has_any(folder: &Path) -> bool {
    FILE_NAMES
        .iter()
        .any(|name| !find_forms(folder, name).is_empty())
}

/// Finds the files of both splits, training first.
fn find(folder: &Path) -> Result<[SplitFiles; 2]> {
    std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let [train, train_labels, test, test_labels] = FILE_NAMES.map(|name| find_file(folder, name));
    let found = [train?, train_labels?, test?, test_labels?];
    let missing = |found: &[Option<PathBuf>; 4]| {
        let names = FILE_NAMES.iter().zip(found);
        let missing = names.filter(|(_, path)| path.is_none());
        missing.map(|(&name, _)| name).collect()
    };
    match found {
        [Some(train), train_labels, Some(test), test_labels]
            if train_labels.is_some() == test_labels.is_some() =>
        {
            let files = |images, labels| SplitFiles { images, labels };
            Ok([files(train, train_labels), files(test, test_labels)])
        }
        found => Err(Error::NoIdxFiles {
            folder: folder.to_owned(),
            missing: missing(&found),
        }),
    }
}

/// Finds the forms of a file: its name with a dash or a dot, gzipped or not.
fn find_forms(folder: &Path, name: &str) -> Vec<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [
        name.to_owned(),
        format!("{name}.gz"),
        format!("{dotted}.gz"),
        dotted,
    ];
    let paths = names.into_iter().map(|name| folder.join(name));
    paths.filter(|path| path.is_file()).collect()
}

/// Finds a file. If it is there in several forms, their content must be the same.
fn find_file(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let mut forms = find_forms(folder, name).into_iter();
    let Some(first) = forms.next() else {
        return Ok(None);
    };
    for other in forms {
        if !read::is_same_content(&first, &other)? {
            return Err(Error::TwoForms { first, other });
        }
    }
    Ok(Some(first))
}

/// Reads the images of a split, and its labels if there are any.
fn read_split(files: &SplitFiles, classes: Option<usize>) -> Result<Split> {
    // Reads the small file first, to report its errors early.
    let labels = files.labels.as_ref();
    let labels = labels
        .map(|path| read_labels_below(path, classes))
        .transpose()?;
    let Idx {
        sizes: [images_len, shape @ ..],
        bytes: images,
    } = read_images(&files.images)?;
    let sample_len = shape.iter().product();
    let Some((labels, path)) = labels.zip(files.labels.as_ref()) else {
        return Ok(Split {
            shape,
            samples: Samples::unlabelled(images, sample_len)?,
            classes: 0,
        });
    };
    if images_len != labels.len() {
        return Err(Error::Idx {
            path: path.clone(),
            field: "number of labels",
            found: labels.len().to_string(),
            expected: format!(
                "{images_len}, as many as images in {}",
                files.images.display()
            ),
        });
    }
    let largest = labels.iter().copied().max().map_or(0, usize::from);
    Ok(Split {
        shape,
        samples: Samples::new(images, labels, sample_len)?,
        classes: largest + 1,
    })
}

/// Reads labels and checks that they are below `classes`.
fn read_labels_below(path: &Path, classes: Option<usize>) -> Result<Vec<u8>> {
    let labels = read_labels(path)?.bytes;
    let largest = labels.iter().copied().max().map_or(0, usize::from);
    let classes = classes.unwrap_or(MAX_CLASSES);
    if largest < classes {
        return Ok(labels);
    }
    Err(Error::Idx {
        path: path.to_owned(),
        field: "label",
        found: largest.to_string(),
        expected: format!("0 to {}", classes.saturating_sub(1)),
    })
}
