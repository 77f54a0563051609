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

/// Reads the four files of a folder. Without `classes` there are as many as the largest label asks
/// for.
///
/// # Errors
/// [`Error::NoIdxFiles`] naming the files that the folder lacks; [`Error::Idx`] naming the file and
/// the field if one has a wrong magic number, is too short or too long, has no sample or empty
/// images, over [`MAX_PIXELS`] bytes, another count than its partner, other sizes than the training
/// images, or a label that is not below `classes`; [`Error::Gzip`] if one cannot be unpacked.
pub fn read_folder(name: &str, folder: &Path, classes: Option<usize>) -> Result<Dataset> {
    let [train_images, train_labels, test_images, test_labels] = find(folder)?;
    let (shape, train, train_classes) = read_split(&train_images, &train_labels, classes)?;
    let (test_shape, test, test_classes) = read_split(&test_images, &test_labels, classes)?;
    if test_shape != shape {
        return Err(Error::Idx {
            path: test_images,
            field: "the shape of an image",
            found: format!("{test_shape:?}"),
            expected: format!("{shape:?}, as in {}", train_images.display()),
        });
    }
    let classes = classes.unwrap_or(train_classes.max(test_classes));
    Ok(Dataset::new(name, shape, classes, train, test)?)
}

/// Whether a folder has any of the four files.
pub(super) fn has_any(folder: &Path) -> bool {
    FILE_NAMES
        .iter()
        .any(|name| find_file(folder, name).is_some())
}

/// The paths of the four files.
fn find(folder: &Path) -> Result<[PathBuf; 4]> {
    std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let found = FILE_NAMES.map(|name| find_file(folder, name));
    if let [Some(a), Some(b), Some(c), Some(d)] = found {
        return Ok([a, b, c, d]);
    }
    let names = FILE_NAMES.iter().zip(found);
    let missing = names
        .filter(|(_, path)| path.is_none())
        .map(|(&name, _)| name)
        .collect();
    Err(Error::NoIdxFiles {
        folder: folder.to_owned(),
        missing,
    })
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

/// Images and labels of one split: their shape, themselves, and one more than the largest label.
fn read_split(
    images_path: &Path,
    labels_path: &Path,
    classes: Option<usize>,
) -> Result<([usize; 3], Samples, usize)> {
    // The small file first: what is wrong with it is told at once.
    let Idx {
        sizes: [labels_len],
        bytes: labels,
    } = read_labels(labels_path)?;
    let largest = labels.iter().copied().max().map_or(0, usize::from);
    let classes = classes.unwrap_or(MAX_CLASSES);
    if largest >= classes {
        return Err(Error::Idx {
            path: labels_path.to_owned(),
            field: "a label",
            found: largest.to_string(),
            expected: format!("0 to {}", classes.saturating_sub(1)),
        });
    }
    let Idx {
        sizes: [images_len, shape @ ..],
        bytes: images,
    } = read_images(images_path)?;
    if images_len != labels_len {
        return Err(Error::Idx {
            path: labels_path.to_owned(),
            field: "the number of labels",
            found: labels_len.to_string(),
            expected: format!(
                "{images_len}, the number of images in {}",
                images_path.display()
            ),
        });
    }
    let samples = Samples::new(images, labels, shape.iter().product())?;
    Ok((shape, samples, largest + 1))
}
