//! Numpy archives: `npz:FILE`, a user's own arrays.
//!
//! A data set is one file with four arrays, as `numpy.savez` or `savez_compressed` writes it:
//!
//! | array | type | shape |
//! |---|---|---|
//! | `x_train` | `uint8` or `float32` | `[n, features]`, `[n, rows, columns]` or `[n, channels, rows, columns]` |
//! | `y_train` | integers | `[n]` or `[n, 1]`, from 0 |
//! | `x_test`, `y_test` | as the others | |
//!
//! Without both `y_train` and `y_test`, the data set is unlabeled.
//!
//! Files are untrusted: no allocation depends on a header alone, and objects are never unpickled.

mod labels;
pub(super) mod npy;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use vbd_net::data::{Dataset, Samples};
use vbd_net::foreign;
use zip::ZipArchive;

use self::npy::Array;
use super::split::Split;
use crate::error::{Error, Result};

/// An open archive.
struct Npz<'a> {
    path: &'a Path,
    archive: ZipArchive<BufReader<File>>,
}

/// Reads a data set. Without `classes`, the number of classes follows from the largest label.
///
/// # Errors
/// [`Error::Npz`] naming file, array and field if an array is missing, of another type, order or
/// shape, cut off, or has a value or label out of range; [`Error::Zip`] if the archive is damaged.
pub(super) fn read(name: &str, path: &Path, classes: Option<usize>) -> Result<Dataset> {
    let mut npz = Npz::open(path)?;
    let has = |npz: &Npz<'_>, array: &str| npz.archive.index_for_name(&file_of(array)).is_some();
    let labelled = [has(&npz, "y_train"), has(&npz, "y_test")];
    if labelled[0] != labelled[1] {
        let missing = if labelled[0] { "y_test" } else { "y_train" };
        return Err(npz.missing(missing));
    }
    let train = npz.split(["x_train", "y_train"], labelled[0])?;
    let test = npz.split(["x_test", "y_test"], labelled[1])?;
    if test.shape != train.shape {
        let [found, expected] = [test.shape, train.shape].map(|shape| format!("{shape:?}"));
        return Err(npz.problem(
            "x_test",
            "shape of a sample",
            found,
            &format!("{expected}, as in `x_train`"),
        ));
    }
    let types = [&train, &test].map(|split| split.samples.inputs().bytes().is_some());
    if types[0] != types[1] {
        let [found, expected] =
            [types[1], types[0]].map(|bytes| if bytes { "uint8" } else { "float32" });
        return Err(npz.problem(
            "x_test",
            "type",
            found,
            &format!("{expected}, as in `x_train`"),
        ));
    }
    let found = train.classes.max(test.classes);
    if let Some(classes) = classes.filter(|&classes| found > classes) {
        let array = if train.classes > classes {
            "y_train"
        } else {
            "y_test"
        };
        let expected = format!("0 to {}", classes.saturating_sub(1));
        return Err(npz.problem(array, "label", (found - 1).to_string(), &expected));
    }
    train.with_test(test, name, classes)
}

/// Returns the name of an array's file in the archive.
fn file_of(array: &str) -> String {
    format!("{array}.npy")
}

impl<'a> Npz<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|source| {
            let kind = start_of(path).and_then(|start| foreign::kind_of(&start));
            Error::Zip {
                path: path.to_owned(),
                source,
                kind: kind.filter(|kind| !kind.contains("zip")),
            }
        })?;
        Ok(Self { path, archive })
    }

    /// Reads inputs and labels of a split.
    fn split(&mut self, [x, y]: [&str; 2], labelled: bool) -> Result<Split> {
        let inputs = self.array(x)?;
        let (n, shape) = self.image_shape(x, &inputs.shape)?;
        let sample_len: usize = shape.iter().product();
        let inputs = inputs.into_inputs(sample_len);
        let inputs = inputs
            .map_err(|problem| self.problem(x, problem.field, problem.found, problem.expected))?;
        if !labelled {
            return Ok(Split {
                shape,
                samples: Samples::unlabelled(inputs, sample_len)?,
                classes: 0,
            });
        }
        let labels = self.array(y)?;
        let is_list = labels.shape == [n] || labels.shape == [n, 1];
        if !is_list {
            let expected = format!("[{n}], a label for each sample of `{x}`");
            return Err(self.problem(y, "shape", format!("{:?}", labels.shape), &expected));
        }
        let labels = labels::labels(&labels)
            .map_err(|problem| self.problem(y, problem.field, problem.found, problem.expected))?;
        let largest = labels.iter().copied().max().map_or(0, usize::from);
        Ok(Split {
            shape,
            samples: Samples::new(inputs, labels, sample_len)?,
            classes: largest + 1,
        })
    }

    /// Returns the number of samples and the shape of each.
    fn image_shape(&self, array: &str, shape: &[usize]) -> Result<(usize, [usize; 3])> {
        let (n, image) = match *shape {
            [n, features] => (n, [1, 1, features]),
            [n, rows, columns] => (n, [1, rows, columns]),
            [n, channels, rows, columns] => (n, [channels, rows, columns]),
            _ => (0, [0; 3]),
        };
        if n == 0 || image.contains(&0) {
            let expected =
                "[n, features], [n, rows, columns] or [n, channels, rows, columns], none of them 0";
            return Err(self.problem(array, "shape", format!("{shape:?}"), expected));
        }
        Ok((n, image))
    }

    /// Reads an array.
    fn array(&mut self, array: &str) -> Result<Array> {
        let path = self.path.to_owned();
        let name = file_of(array);
        if self.archive.index_for_name(&name).is_none() {
            return Err(self.missing(array));
        }
        let file = match self.archive.by_name(&name) {
            Ok(file) => file,
            Err(source) => {
                let kind = None;
                return Err(Error::Zip { path, source, kind });
            }
        };
        npy::read(file).map_err(|problem| Error::Npz {
            path,
            array: array.to_owned(),
            field: problem.field,
            found: problem.found,
            expected: problem.expected.to_owned(),
        })
    }

    fn missing(&self, array: &str) -> Error {
        let names = self.archive.file_names().filter_map(Result::ok);
        let mut names: Vec<String> = names
            .filter_map(|name| name.strip_suffix(".npy").map(str::to_owned))
            .collect();
        names.sort_unstable();
        let found = if names.is_empty() {
            "missing: the file has no arrays".to_owned()
        } else {
            format!("missing: the file has {}", names.join(", "))
        };
        self.problem(array, "array", found, "x_train, y_train, x_test, y_test")
    }

    fn problem(
        &self,
        array: &str,
        field: &'static str,
        found: impl Into<String>,
        expected: &str,
    ) -> Error {
        Error::Npz {
            path: self.path.to_owned(),
            array: array.to_owned(),
            field,
            found: found.into(),
            expected: expected.to_owned(),
        }
    }
}

/// Reads the first bytes of a file.
fn start_of(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut start = Vec::new();
    File::open(path)
        .ok()?
        .take(64)
        .read_to_end(&mut start)
        .ok()?;
    Some(start)
}
