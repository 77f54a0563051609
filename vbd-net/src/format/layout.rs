//! The closed set of layouts, what each stores, and how large that is.

use std::fmt;
use std::str::FromStr;

use crate::matrix::SparseMatrix;
use crate::tensor_file::RawTensor;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::{ValueType, bitmask, csr, delta, dense};

/// How the entries of one weight are stored. Told by the suffixes of its tensors and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// All entries, zeros too.
    Dense,
    /// Compressed rows, as `torch.sparse_csr_tensor` takes them.
    Csr,
    /// One bit an entry, as compressed-tensors up to 0.14 has it.
    Bitmask,
    /// One byte a kept entry: the number of zeros before it.
    Delta,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 4] = [Self::Dense, Self::Csr, Self::Bitmask, Self::Delta];

    /// The layout's word on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Csr => "csr",
            Self::Bitmask => "bitmask",
            Self::Delta => "delta",
        }
    }

    /// The tensors of `matrix` in this layout, without their bytes.
    pub(crate) fn parts(
        self,
        matrix: &SparseMatrix,
        shape: &[usize],
        values: ValueType,
    ) -> Vec<Part> {
        match self {
            Self::Dense => dense::parts(shape, values),
            Self::Csr => csr::parts(matrix, values),
            Self::Bitmask => bitmask::parts(matrix, values),
            Self::Delta => delta::parts(matrix, values),
        }
    }

    /// The tensors of `matrix` in this layout, with the suffix of each.
    pub(crate) fn encode(
        self,
        matrix: &SparseMatrix,
        shape: &[usize],
        values: ValueType,
    ) -> Vec<(&'static str, RawTensor)> {
        match self {
            Self::Dense => dense::encode(matrix, shape, values),
            Self::Csr => csr::encode(matrix, values),
            Self::Bitmask => bitmask::encode(matrix, values),
            Self::Delta => delta::encode(matrix, values),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|layout| layout.as_str() == text);
        found.ok_or_else(|| format!("expected `dense`, `csr`, `bitmask` or `delta`, got `{text}`"))
    }
}

/// A tensor that will be stored: all that its size in a file depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// What follows the weight's name.
    pub(crate) suffix: &'static str,
    /// Type of its values.
    pub(crate) dtype: Dtype,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
}

impl Part {
    pub(crate) fn new(suffix: &'static str, dtype: Dtype, shape: &[usize]) -> Self {
        Self {
            suffix,
            dtype,
            shape: shape.to_vec(),
        }
    }

    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}
