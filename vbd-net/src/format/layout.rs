//! The layouts: their tensors and sizes.

use std::fmt;
use std::str::FromStr;

use crate::matrix::SparseMatrix;
use crate::tensor_file::RawTensor;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::{ValueType, bitmask, csr, delta, dense};

/// Storage layout of a weight. The suffixes of its tensors determine it.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// All entries including zeros.
    Dense,
    /// Compressed rows, as in `torch.sparse_csr_tensor`.
    Csr,
    /// One bit per entry, as in compressed-tensors up to 0.14.
    Bitmask,
    /// One byte per kept entry: the number of zeros before it.
    Delta,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 4] = [Self::Dense, Self::Csr, Self::Bitmask, Self::Delta];

    /// Returns the layout's name on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Csr => "csr",
            Self::Bitmask => "bitmask",
            Self::Delta => "delta",
        }
    }

    /// Returns the tensors of `matrix` in this layout, without their bytes.
    pub(crate) fn parts(
        self,
        matrix: &SparseMatrix,
        shape: &[usize],
        values: ValueType,
    ) -> Vec<LayoutTensor> {
        match self {
            Self::Dense => dense::parts(shape, values),
            Self::Csr => csr::parts(matrix, values),
            Self::Bitmask => bitmask::parts(matrix, values),
            Self::Delta => delta::parts(matrix, values),
        }
    }

    /// Returns the tensors of a weight in this layout, with the suffixes of their names.
    ///
    /// # Shapes
    /// - `shape`: that of the weight, of which `matrix` has the rows, `[out, ..]`
    pub fn encode(
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

/// Declaration of a stored tensor: everything that determines its size in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayoutTensor {
    /// Suffix after the weight's name.
    pub(crate) suffix: &'static str,
    /// Value type.
    pub(crate) dtype: Dtype,
    /// Shape.
    pub(crate) shape: Vec<usize>,
}

impl LayoutTensor {
    pub(crate) fn new(suffix: &'static str, dtype: Dtype, shape: &[usize]) -> Self {
        Self {
            suffix,
            dtype,
            shape: shape.to_vec(),
        }
    }

    /// Returns the bytes of the values.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}
