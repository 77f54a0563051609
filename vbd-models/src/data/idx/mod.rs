//! IDX files: the format of MNIST, and of any image set of a user's own.
//!
//! A data set is a folder of four files, each gzipped or not (`NAME` or `NAME.gz`, and with a dot,
//! `train-images.idx3-ubyte`, as some archives have them):
//!
//! | file | content |
//! |---|---|
//! | `train-images-idx3-ubyte` | training images |
//! | `train-labels-idx1-ubyte` | a label for each |
//! | `t10k-images-idx3-ubyte` | test images |
//! | `t10k-labels-idx1-ubyte` | a label for each |
//!
//! Without the two files of labels the set has none.
//!
//! A file is a magic number, a size for each dimension (all big-endian, 32 bits), then the bytes:
//!
//! | magic | sizes | bytes |
//! |---|---|---|
//! | `0x00000801` | labels | the labels |
//! | `0x00000803` | images, rows, columns | pixels of grey images |
//! | `0x00000804` | images, channels, rows, columns | pixels, channel by channel |
//!
//! Files are taken as hostile: nothing is allocated because a header says so.
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
use crate::error::{Error, Result};

/// The four files, in the order: training images, training labels, test images, test labels.
pub const FILE_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// Most classes that a label, one byte, can tell apart.
const MAX_CLASSES: usize = 256;

/// Reads the files of a folder: with labels, or where it has neither file of them, without. Of labels without
/// `classes` there are as many classes as the largest label asks for.
///
/// # Errors
/// [`Error::NoIdxFiles`] naming the files that the folder lacks; [`Error::Idx`] naming the file and
/// the field if one has a wrong magic number, is too short or too long, has no sample or empty
/// images, over [`MAX_PIXELS`] bytes, another count than its partner, other sizes than the training
/// images, or a label that is not below `classes`; [`Error::Gzip`] if one cannot be unpacked.
pub fn read_folder(name: &str, folder: &Path, classes: Option<usize>) -> Result<Dataset> {
    let [train, test] = find(folder)?;
    read(name, &train, &test, classes)
}

/// [`read_folder`] of a set that has labels, below `classes`.
pub(super) fn read_labelled_folder(name: &str, folder: &Path, classes: usize) -> Result<Dataset> {
    let [train, test] = find(folder)?;
    if train.labels.is_none() {
        let missing = vec![FILE_NAMES[1], FILE_NAMES[3]];
        let folder = folder.to_owned();
        return Err(Error::NoIdxFiles { folder, missing });
    }
    read(name, &train, &test, Some(classes))
}

/// The paths of a split.
struct SplitFiles {
    images: PathBuf,
    labels: Option<PathBuf>,
}

/// A split, read.
struct Split {
    shape: [usize; 3],
    samples: Samples,
    /// One more than the largest label.
    classes: usize,
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
    let classes = classes.unwrap_or(train.classes.max(test.classes));
    Ok(Dataset::new(
        name,
        train.shape,
        classes,
        train.samples,
        test.samples,
    )?)
}

/// Whether a folder has any of the four files.
pub(super) fn has_any(folder: &Path) -> bool {
    FILE_NAMES
        .iter()
        .any(|name| find_file(folder, name).is_some())
}

/// The paths of the files: of training, of test.
fn find(folder: &Path) -> Result<[SplitFiles; 2]> {
    std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let found = FILE_NAMES.map(|name| find_file(folder, name));
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

/// The file by one of its names.
fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [
        name.to_owned(),
        format!("{name}.gz"),
        format!("{dotted}.gz"),
        dotted,
    ];
    names
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// Images of one split, with labels where there are any.
fn read_split(files: &SplitFiles, classes: Option<usize>) -> Result<Split> {
    // The small file first: what is wrong with it is told at once.
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

/// The labels of a file, all below `classes`.
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
