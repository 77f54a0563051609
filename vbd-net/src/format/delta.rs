//! Layout `delta`: for each kept entry, the number of zeros before it, in one byte.
//!
//! `.gaps` traverses the flattened row-major weight. A byte below 255 skips that many zeros, and
//! one kept entry follows. The byte 255 skips 255 zeros, and no entry follows.

use crate::matrix::SparseMatrix;
use crate::tensor_file::RawTensor;
use safetensors::Dtype;

use super::file_tensors::{FileTensors, WeightTensor};
use super::{LayoutTensor, ValueType};
use crate::error::Result;
use crate::problem::Problem;

pub(crate) const GAPS: &str = ".gaps";
pub(crate) const VALUES: &str = ".values";

/// Byte that skips zeros without an entry after them.
const SKIP: u8 = u8::MAX;

fn zeros_before(matrix: &SparseMatrix) -> impl Iterator<Item = usize> {
    let mut next = 0;
    matrix.entries().map(move |(place, _)| {
        let zeros = place - next;
        next = place + 1;
        zeros
    })
}

pub(crate) fn parts(matrix: &SparseMatrix, values: ValueType) -> Vec<LayoutTensor> {
    let gaps = zeros_before(matrix)
        .map(|zeros| zeros / usize::from(SKIP) + 1)
        .sum();
    vec![
        LayoutTensor::new(GAPS, Dtype::U8, &[gaps]),
        LayoutTensor::new(VALUES, values.dtype(), &[matrix.nnz()]),
    ]
}

pub(crate) fn encode(matrix: &SparseMatrix, values: ValueType) -> Vec<(&'static str, RawTensor)> {
    let mut bytes = Vec::new();
    for zeros in zeros_before(matrix) {
        let skip = usize::from(SKIP);
        bytes.extend(std::iter::repeat_n(SKIP, zeros / skip));
        bytes.push(u8::try_from(zeros % skip).expect("a remainder of 255 fits a byte"));
    }
    vec![
        (
            GAPS,
            RawTensor {
                dtype: Dtype::U8,
                shape: vec![bytes.len()],
                bytes,
            },
        ),
        (VALUES, values.tensor(&[matrix.nnz()], matrix.values())),
    ]
}

pub(crate) fn decode(
    file: &mut FileTensors<'_>,
    weight: &WeightTensor<'_>,
) -> Result<SparseMatrix> {
    let (gaps_name, values_name) = (
        format!("{}{GAPS}", weight.name),
        format!("{}{VALUES}", weight.name),
    );
    let gaps = file.take(&gaps_name, &[Dtype::U8], None)?.bytes;
    let values = file.take_entries(&values_name)?;
    if gaps.last() == Some(&SKIP) {
        return Err(file.problem(&gaps_name, Problem::GapEnd));
    }
    let nnz = gaps.iter().filter(|&&gap| gap != SKIP).count();
    file.check_count(&values_name, nnz, &values)?;
    // At most 255 a byte: no overflow, and the last place is the largest.
    let end = gaps.iter().map(|&gap| usize::from(gap)).sum::<usize>() + nnz;
    let numel = weight.rows * weight.cols;
    if end > numel {
        return Err(file.problem(&gaps_name, Problem::GapRange { numel }));
    }
    let mut next = 0;
    let places = gaps.iter().filter_map(|&gap| {
        next += usize::from(gap);
        (gap != SKIP).then(|| {
            next += 1;
            next - 1
        })
    });
    let entries = places.zip(file.values.values(&values.bytes));
    Ok(SparseMatrix::from_places(
        [weight.rows, weight.cols],
        nnz,
        entries,
    ))
}
