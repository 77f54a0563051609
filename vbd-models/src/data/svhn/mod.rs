//! Street View House Numbers, cropped digits: `train_32x32.mat` and `test_32x32.mat`.
//!
//! Each file has two arrays, column by column: `X`, `uint8` of `[32, 32, 3, images]` (rows, columns,
//! channels), and `y`, numbers of `[images, 1]`, from 1 to 10. The label 10 is the digit 0.

mod mat;
#[cfg(test)]
mod tests;

use std::path::Path;

use vbd_net::data::{Dataset, Samples};

use self::mat::MatArray;
use super::split::Split;
use crate::error::{Error, Result};

/// Names of the files, training first.
pub(super) const FILE_NAMES: [&str; 2] = ["train_32x32.mat", "test_32x32.mat"];
/// Images of each published file.
const PUBLISHED: [usize; 2] = [73_257, 26_032];
const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;
const CLASSES: u8 = 10;

/// Returns whether a directory has any of the files.
pub(super) fn has_any(folder: &Path) -> bool {
    FILE_NAMES
        .into_iter()
        .any(|name| folder.join(name).is_file())
}

/// Reads the data set from a directory.
///
/// # Errors
/// [`Error::MissingFiles`]; [`Error::DataFile`] naming file and array if a file is no MAT-file of
/// version 5, lacks an array, or has one of another type, shape or label.
pub(super) fn read_folder(name: &str, folder: &Path) -> Result<Dataset> {
    let mut names = FILE_NAMES.to_vec();
    names.retain(|name| !folder.join(name).is_file());
    if !names.is_empty() {
        return Err(Error::MissingFiles {
            folder: folder.to_owned(),
            missing: names,
        });
    }
    let [train, test] = FILE_NAMES.map(|name| read_split(&folder.join(name)));
    train?.with_test(test?, name, Some(CLASSES.into()))
}

/// Returns the names of the files that have another number of images than the published ones.
pub(super) fn unpublished(set: &Dataset) -> Vec<&'static str> {
    let counts = [set.train.len(), set.test.len()].into_iter().zip(PUBLISHED);
    let names = FILE_NAMES.into_iter().zip(counts);
    names
        .filter(|(_, (found, published))| found != published)
        .map(|(name, _)| name)
        .collect()
}

fn read_split(path: &Path) -> Result<Split> {
    let problem = |field: &str, found: String, expected: String| Error::DataFile {
        path: path.to_owned(),
        field: field.to_owned(),
        found,
        expected,
    };
    let [images, labels] = mat::read(path, ["X", "y"])?;
    let missing = |array| problem(array, "missing".to_owned(), "arrays `X` and `y`".to_owned());
    let images = images.ok_or_else(|| missing("array `X`"))?;
    let labels = labels.ok_or_else(|| missing("array `y`"))?;
    let count = match images.shape[..] {
        [SIDE, SIDE, 3, count] if count > 0 => count,
        // MATLAB drops a last dimension of 1.
        [SIDE, SIDE, 3] => 1,
        _ => {
            let found = format!("{:?}", images.shape);
            return Err(problem(
                "shape of `X`",
                found,
                "[32, 32, 3, images]".to_owned(),
            ));
        }
    };
    if images.class != "uint8" || images.bytes.len() != count * PIXELS {
        return Err(problem(
            "type of `X`",
            images.class.to_owned(),
            "uint8".to_owned(),
        ));
    }
    if labels.shape != [count, 1] {
        let found = format!("{:?}", labels.shape);
        let expected = format!("[{count}, 1], a label for each image of `X`");
        return Err(problem("shape of `y`", found, expected));
    }
    let labels = digits(&labels).map_err(|found| {
        problem(
            "label in `y`",
            found,
            "1 to 10, where 10 is the digit 0".to_owned(),
        )
    })?;
    Ok(Split {
        shape: [3, SIDE, SIDE],
        samples: Samples::new(by_rows(images.bytes), labels, PIXELS)?,
        classes: CLASSES.into(),
    })
}

/// Converts labels to digits: 10 is 0.
#[expect(clippy::float_cmp, reason = "a label is a whole number")]
fn digits(labels: &MatArray) -> Result<Vec<u8>, String> {
    let labels = labels.values().enumerate();
    labels
        .map(|(image, label)| {
            let digit = (1..=CLASSES).find(|&digit| f64::from(digit) == label);
            let digit = digit.ok_or_else(|| format!("{label} of image {image}"))?;
            Ok(digit % CLASSES)
        })
        .collect()
}

/// Transposes each plane: columns of pixels become rows.
fn by_rows(mut pixels: Vec<u8>) -> Vec<u8> {
    for plane in pixels.chunks_exact_mut(SIDE * SIDE) {
        for row in 0..SIDE {
            for column in 0..row {
                plane.swap(row * SIDE + column, column * SIDE + row);
            }
        }
    }
    pixels
}
