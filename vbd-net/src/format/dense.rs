//! Layout `dense`: all entries in one tensor with the weight's name and shape.

use crate::matrix::SparseMatrix;
use crate::tensor_file::RawTensor;

use super::file_tensors::{FileTensors, WeightTensor};
use super::{LayoutTensor, ValueType};
use crate::error::Result;

/// Empty suffix: the tensor has the weight's name.
pub(crate) const WEIGHT: &str = "";

pub(crate) fn parts(shape: &[usize], values: ValueType) -> Vec<LayoutTensor> {
    vec![LayoutTensor::new(WEIGHT, values.dtype(), shape)]
}

pub(crate) fn encode(
    matrix: &SparseMatrix,
    shape: &[usize],
    values: ValueType,
) -> Vec<(&'static str, RawTensor)> {
    vec![(WEIGHT, values.tensor(shape, &matrix.to_dense()))]
}

pub(crate) fn decode(
    file: &mut FileTensors<'_>,
    weight: &WeightTensor<'_>,
) -> Result<SparseMatrix> {
    let tensor = format!("{}{WEIGHT}", weight.name);
    let raw = file.take(&tensor, &[file.values.dtype()], Some(weight.shape))?;
    file.check_finite(&tensor, &raw)?;
    let values = || file.values.values(&raw.bytes);
    let nnz = values().filter(|&value| value != 0.0).count();
    Ok(SparseMatrix::from_places(
        [weight.rows, weight.cols],
        nnz,
        values().enumerate(),
    ))
}
