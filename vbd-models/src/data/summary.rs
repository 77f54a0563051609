//! Summaries of data sets.

use std::collections::BTreeMap;

use serde::Serialize;
use vbd_net::data::{Dataset, Values};

use super::checksum::sha256_hex;
use super::idx;
use crate::error::Result;

/// Counts, classes and checksums of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Name of the data set.
    pub name: String,
    /// Training samples.
    pub train: usize,
    /// Test samples.
    pub test: usize,
    /// Number of classes; 0 without labels.
    pub classes: usize,
    /// Names of the classes in the order of their numbers, if they have some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// `[channels, rows, columns]` of an image.
    pub shape: [usize; 3],
    /// SHA-256 in hexadecimal of each file written by [`idx::write_folder`]. Of inputs in f32, which
    /// such files cannot hold, that of each array's values, little-endian: `x_train`, `y_train`,
    /// `x_test`, `y_test`.
    pub sha256: BTreeMap<&'static str, String>,
}

/// Summarises a data set.
///
/// ```
/// use vbd_models::data::{digits, summary};
///
/// let summary = summary(&digits(0, 30, 10)?)?;
/// assert_eq!((summary.train, summary.test, summary.classes), (30, 10, 10));
/// assert_eq!(summary.sha256["t10k-labels-idx1-ubyte"].len(), 64);
/// # Ok::<(), vbd_models::Error>(())
/// ```
///
/// # Errors
/// Those of [`idx::files`].
pub fn summary(set: &Dataset) -> Result<Summary> {
    Ok(Summary {
        name: set.name.clone(),
        train: set.train.len(),
        test: set.test.len(),
        classes: set.classes,
        class_names: set.class_names.clone(),
        shape: set.shape,
        sha256: match array_sums(set) {
            Some(sums) => sums,
            None => idx::files(set)?
                .iter()
                .map(|file| (file.name, file.sha256()))
                .collect(),
        },
    })
}

/// Returns the SHA-256 of each array of a set with inputs in f32; `None` of one in bytes.
fn array_sums(set: &Dataset) -> Option<BTreeMap<&'static str, String>> {
    let mut sums = BTreeMap::new();
    for (samples, [x, y]) in [
        (&set.train, ["x_train", "y_train"]),
        (&set.test, ["x_test", "y_test"]),
    ] {
        let Values::F32(values) = samples.inputs() else {
            return None;
        };
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        sums.insert(x, sha256_hex([&bytes[..]]));
        if let Some(labels) = samples.labels() {
            sums.insert(y, sha256_hex([labels]));
        }
    }
    Some(sums)
}
