//! Weights files: sparse weights by name and other tensors, without a network. Specified in
//! `docs/format.md`.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file_tensors::{FileTensors, WeightTensor};
use super::metadata::Label;
use super::reader::take_weight;
use super::size::DeclaredSize;
use super::{Layout, ValueType, choose};
use crate::error::{Error, Result};
use crate::file;
use crate::graph::MAX_TENSOR;
use crate::matrix::SparseMatrix;
use crate::tensor_file::{self, Tensors};

/// Value of `kind` in a weights file's JSON.
pub const WEIGHTS_KIND: &str = "weights";
/// Version that is read and written.
pub const WEIGHTS_VERSION: u32 = 1;
/// Maximum number of dimensions of a weight.
const MOST_DIMS: usize = 8;

/// A sparse weight with its storage.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredWeight {
    /// Name of the weight, the prefix of its tensors' names.
    pub name: String,
    /// Shape, `[out, ...]`.
    pub shape: Vec<usize>,
    /// Entries, with one row per output.
    pub matrix: SparseMatrix,
    /// Storage layout.
    pub layout: Layout,
    /// Bytes of the weight's tensors, without header entries.
    pub bytes: u64,
}

/// The sparse weights and other tensors of a model, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightsFile {
    weights: Vec<StoredWeight>,
    others: Tensors,
    values: ValueType,
    threshold: Option<f32>,
    bytes: u64,
}

/// A sparse weight to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedWeight {
    /// Name of the weight.
    pub name: String,
    /// Shape, `[out, ...]`, with at least two dimensions.
    pub shape: Vec<usize>,
    /// Entries, with one row per output.
    pub matrix: SparseMatrix,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsHeader {
    version: u32,
    kind: String,
    /// Threshold of `log_alpha` at which the weights were pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    values: ValueType,
    weights: Vec<WeightSize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightSize {
    name: String,
    shape: Vec<usize>,
}

impl WeightSize {
    /// Returns rows and columns, or `None` if a weight cannot have this shape.
    fn sides(&self) -> Option<[usize; 2]> {
        let sizes = self.shape.iter();
        let numel = sizes
            .clone()
            .try_fold(1_usize, |numel, &size| numel.checked_mul(size))?;
        let is_weight = (2..=MOST_DIMS).contains(&self.shape.len());
        (is_weight && (1..=MAX_TENSOR).contains(&numel))
            .then(|| [self.shape[0], numel / self.shape[0]])
    }
}

impl WeightsFile {
    /// Creates a file of these weights and other tensors. Without a `layout`, each weight gets its
    /// smallest. Values of weights are rounded to the type `values`, and dropped if they round to 0.
    ///
    /// # Errors
    /// [`Error::WeightShape`] if a weight has fewer than two dimensions, no entries, more than 2^28
    /// entries, or a matrix that does not match its shape; [`Error::Overflow`] or
    /// [`Error::NotFinite`] if a value does not fit its type; [`Error::Unwritable`] if the header
    /// exceeds safetensors' limit of 100 MB.
    pub fn new(
        weights: Vec<NamedWeight>,
        others: Tensors,
        threshold: Option<f32>,
        layout: Option<Layout>,
        values: ValueType,
    ) -> Result<Self> {
        let stored = weights.into_iter().map(|weight| {
            let NamedWeight {
                name,
                shape,
                matrix,
            } = weight;
            let sized = WeightSize { name, shape };
            let sides = sized.sides();
            if sides != Some([matrix.rows(), matrix.cols()]) {
                return Err(Error::WeightShape {
                    tensor: sized.name,
                    shape: sized.shape,
                });
            }
            let matrix = matrix.try_map(|value| values.round(value, &sized.name))?;
            let WeightSize { name, shape } = sized;
            let layout = layout.unwrap_or_else(|| smallest(&name, &shape, &matrix, values));
            let bytes = parts(&name, &shape, &matrix, layout, values);
            Ok(StoredWeight {
                bytes: choose::weight_bytes(&bytes) as u64,
                name,
                shape,
                matrix,
                layout,
            })
        });
        let mut file = Self {
            weights: stored.collect::<Result<_>>()?,
            others,
            values,
            threshold,
            bytes: 0,
        };
        file.bytes = file.to_bytes()?.len() as u64;
        Ok(file)
    }

    /// Reads a weights file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; those of [`WeightsFile::from_bytes`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&file::read(path)?, path)
    }

    /// Reads a weights file from bytes; `path` is used in errors.
    ///
    /// # Errors
    /// Variants of [`Error`] that name the path and the tensor or field. Any bytes are accepted as
    /// input.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let (tensors, json) = tensor_file::from_bytes(bytes).map_err(Error::tensor_file(path))?;
        let header = WeightsHeader::from_json(&json, path)?;
        let mut file = FileTensors {
            path,
            tensors,
            values: header.values,
            bytes_taken: 0,
        };
        let mut names = BTreeSet::new();
        let mut weights = Vec::new();
        for sized in header.weights {
            let refused = || Error::WeightShape {
                tensor: sized.name.clone(),
                shape: sized.shape.clone(),
            };
            let [rows, cols] = sized.sides().ok_or_else(refused)?;
            // Memory per row is bounded by the size of the file.
            if rows > bytes.len() || !names.insert(sized.name.clone()) {
                return Err(refused());
            }
            let tensor = WeightTensor {
                name: &sized.name,
                shape: &sized.shape,
                rows,
                cols,
            };
            let before = file.bytes_taken;
            let (matrix, layout) = take_weight(&mut file, &tensor)?;
            weights.push(StoredWeight {
                matrix,
                layout,
                bytes: (file.bytes_taken - before) as u64,
                name: sized.name,
                shape: sized.shape,
            });
        }
        Ok(Self {
            weights,
            others: file.tensors,
            values: header.values,
            threshold: header.threshold,
            bytes: bytes.len() as u64,
        })
    }

    /// Returns the bytes of the file. The same content gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if the header exceeds safetensors' limit of 100 MB.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors = self.others.clone();
        for weight in &self.weights {
            let encoded = weight
                .layout
                .encode(&weight.matrix, &weight.shape, self.values);
            for (suffix, raw) in encoded {
                tensors.insert(format!("{}{suffix}", weight.name), raw);
            }
        }
        let header = WeightsHeader {
            version: WEIGHTS_VERSION,
            kind: WEIGHTS_KIND.to_owned(),
            threshold: self.threshold,
            values: self.values,
            weights: self
                .weights
                .iter()
                .map(|weight| WeightSize {
                    name: weight.name.clone(),
                    shape: weight.shape.clone(),
                })
                .collect(),
        };
        tensor_file::to_bytes(&tensors, header.to_json()).map_err(Error::Unwritable)
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// Those of [`WeightsFile::to_bytes`]; [`Error::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        file::write_atomic(path, &self.to_bytes()?)
    }

    /// Returns the same weights in another layout or with another type of values.
    ///
    /// # Errors
    /// Those of [`WeightsFile::new`].
    pub fn restored(&self, layout: Option<Layout>, values: ValueType) -> Result<Self> {
        let weights = self.weights.iter().map(|weight| NamedWeight {
            name: weight.name.clone(),
            shape: weight.shape.clone(),
            matrix: weight.matrix.clone(),
        });
        let others = self.others.clone();
        Self::new(weights.collect(), others, self.threshold, layout, values)
    }

    /// Returns the sparse weights.
    pub fn weights(&self) -> &[StoredWeight] {
        &self.weights
    }

    /// Returns the other tensors by name.
    pub fn others(&self) -> &Tensors {
        &self.others
    }

    /// Returns the type of the weights' values.
    pub fn values(&self) -> ValueType {
        self.values
    }

    /// Returns the threshold of `log_alpha` at which the weights were pruned.
    pub fn threshold(&self) -> Option<f32> {
        self.threshold
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl WeightsHeader {
    /// Returns the header as JSON.
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a header has only text keys and numbers")
    }

    fn from_json(json: &str, path: &Path) -> Result<Self> {
        let label: Label = serde_json::from_str(json).map_err(Error::metadata(path))?;
        let path_buf = || path.to_path_buf();
        if label.kind != WEIGHTS_KIND {
            return Err(Error::Kind {
                path: path_buf(),
                found: label.kind,
                expected: "`weights`",
            });
        }
        if label.version != u64::from(WEIGHTS_VERSION) {
            return Err(Error::Version {
                path: path_buf(),
                found: label.version,
                expected: WEIGHTS_VERSION,
            });
        }
        serde_json::from_str(json).map_err(Error::metadata(path))
    }
}

fn parts(
    name: &str,
    shape: &[usize],
    matrix: &SparseMatrix,
    layout: Layout,
    values: ValueType,
) -> Vec<DeclaredSize> {
    let parts = layout.parts(matrix, shape, values);
    parts
        .iter()
        .map(|part| DeclaredSize::part(name, part))
        .collect()
}

fn smallest(name: &str, shape: &[usize], matrix: &SparseMatrix, values: ValueType) -> Layout {
    // A reader rejects more rows than the file has bytes. The delta layout may have fewer.
    let may_gap = matrix.rows() <= matrix.nnz();
    let cost = |layout: &Layout| -> usize {
        let parts = parts(name, shape, matrix, *layout, values);
        parts
            .iter()
            .map(|part| part.bytes + part.entry_len(part.bytes))
            .sum()
    };
    let layouts = choose::OWN.into_iter();
    let layouts = layouts.filter(|layout| may_gap || *layout != Layout::Delta);
    layouts.min_by_key(cost).unwrap_or(Layout::Dense)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor_file::RawTensor;

    fn matrix([rows, cols]: [usize; 2], every: usize) -> SparseMatrix {
        let entries = (0..rows * cols).step_by(every);
        let entries = entries.map(|place| (place, 0.5 + (place % 7) as f32));
        SparseMatrix::from_places([rows, cols], 0, entries)
    }

    fn file(layout: Option<Layout>, values: ValueType) -> WeightsFile {
        let weight = |name: &str, shape: &[usize], every| NamedWeight {
            name: name.to_owned(),
            shape: shape.to_vec(),
            matrix: matrix([shape[0], shape[1..].iter().product()], every),
        };
        let weights = vec![
            weight("fc1.weight", &[40, 30], 11),
            weight("conv.weight", &[8, 3, 3, 3], 1),
        ];
        let bias = RawTensor::f32(&[3], &[1.0, -2.0, 0.0]);
        let others = Tensors::from([("fc1.bias".to_owned(), bias)]);
        WeightsFile::new(weights, others, Some(3.0), layout, values).unwrap()
    }

    #[test]
    fn every_layout_and_type_reads_back_and_the_choice_is_the_smallest() {
        let path = Path::new("x");
        let auto = file(None, ValueType::F32);
        for layout in Layout::ALL {
            for values in ValueType::ALL {
                let file = file(Some(layout), values);
                let bytes = file.to_bytes().unwrap();
                assert_eq!(bytes.len() as u64, file.bytes());
                assert_eq!(WeightsFile::from_bytes(&bytes, path).unwrap(), file);
                assert_eq!(
                    file.weights()[0].matrix.nnz(),
                    auto.weights()[0].matrix.nnz()
                );
                if values == ValueType::F32 {
                    assert!(auto.bytes() <= file.bytes());
                    assert_eq!(file.restored(None, values).unwrap(), auto);
                }
            }
        }
    }

    #[test]
    fn no_changed_byte_makes_a_reader_panic() {
        let path = Path::new("x");
        for layout in Layout::ALL {
            let bytes = file(Some(layout), ValueType::F32).to_bytes().unwrap();
            for at in 0..bytes.len() {
                for flip in [0x01, 0x20, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= flip;
                    // Every file that can be read can be written again.
                    if let Ok(file) = WeightsFile::from_bytes(&changed, path) {
                        file.to_bytes().unwrap();
                    }
                }
            }
            for len in 0..bytes.len() {
                assert!(WeightsFile::from_bytes(&bytes[..len], path).is_err());
            }
        }
    }

    #[test]
    fn lies_about_shapes_are_refused_before_memory_is_taken() {
        let bytes = file(None, ValueType::F32).to_bytes().unwrap();
        let text = |from: &str, to: &str| {
            let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            let end = 8 + usize::try_from(header_len).unwrap();
            let header = std::str::from_utf8(&bytes[8..end]).unwrap();
            assert!(header.contains(from), "{header}");
            let mut header = header.replace(from, to);
            while !header.len().is_multiple_of(8) {
                header.push(' ');
            }
            let mut lie = (header.len() as u64).to_le_bytes().to_vec();
            lie.extend(header.as_bytes());
            lie.extend(&bytes[end..]);
            WeightsFile::from_bytes(&lie, Path::new("x")).unwrap_err()
        };
        for (from, to) in [
            ("\\\"shape\\\":[40,30]", "\\\"shape\\\":[268435456,1]"),
            (
                "\\\"shape\\\":[40,30]",
                "\\\"shape\\\":[18446744073709551615,2]",
            ),
            ("\\\"shape\\\":[40,30]", "\\\"shape\\\":[1200]"),
            ("\\\"shape\\\":[40,30]", "\\\"shape\\\":[0,30]"),
            (
                "\\\"name\\\":\\\"conv.weight\\\"",
                "\\\"name\\\":\\\"fc1.weight\\\"",
            ),
        ] {
            let error = text(from, to);
            assert!(matches!(error, Error::WeightShape { .. }), "{to}: {error}");
        }
        let error = text("\\\"shape\\\":[40,30]", "\\\"shape\\\":[30,30]");
        assert!(error.to_string().contains("fc1.weight"), "{error}");
        let error = text("\\\"version\\\":1", "\\\"version\\\":7");
        assert!(matches!(error, Error::Version { found: 7, .. }), "{error}");
    }
}
