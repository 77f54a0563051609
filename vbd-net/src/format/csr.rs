//! Layout `csr`: start of each row, column of each entry, values.
//!
//! `.crow_indices [rows + 1]` and `.col_indices [nnz]` are both U16 if all their numbers fit, else
//! both I32.

use crate::matrix::SparseMatrix;
use crate::tensor_file::RawTensor;
use safetensors::Dtype;

use super::file_tensors::{FileTensors, WeightTensor};
use super::{LayoutTensor, ValueType};
use crate::error::Result;
use crate::problem::Problem;

pub(crate) const ROWS: &str = ".crow_indices";
pub(crate) const COLUMNS: &str = ".col_indices";
pub(crate) const VALUES: &str = ".values";

fn index_type(matrix: &SparseMatrix) -> Dtype {
    let largest = matrix.nnz().max(matrix.cols() - 1);
    if u16::try_from(largest).is_ok() {
        Dtype::U16
    } else {
        Dtype::I32
    }
}

pub(crate) fn parts(matrix: &SparseMatrix, values: ValueType) -> Vec<LayoutTensor> {
    let index = index_type(matrix);
    vec![
        LayoutTensor::new(ROWS, index, &[matrix.rows() + 1]),
        LayoutTensor::new(COLUMNS, index, &[matrix.nnz()]),
        LayoutTensor::new(VALUES, values.dtype(), &[matrix.nnz()]),
    ]
}

pub(crate) fn encode(matrix: &SparseMatrix, values: ValueType) -> Vec<(&'static str, RawTensor)> {
    let dtype = index_type(matrix);
    // A number that fits U16 is the low half of its four little-endian bytes; I32 is all of them.
    let size = if dtype == Dtype::U16 { 2 } else { 4 };
    let indices = |numbers: &[u32]| RawTensor {
        dtype,
        shape: vec![numbers.len()],
        bytes: numbers
            .iter()
            .flat_map(|n| n.to_le_bytes().into_iter().take(size))
            .collect(),
    };
    vec![
        (ROWS, indices(matrix.row_ptr())),
        (COLUMNS, indices(matrix.col_idx())),
        (VALUES, values.tensor(&[matrix.nnz()], matrix.values())),
    ]
}

pub(crate) fn decode(
    file: &mut FileTensors<'_>,
    weight: &WeightTensor<'_>,
) -> Result<SparseMatrix> {
    let name = |suffix: &str| format!("{}{suffix}", weight.name);
    let types = [Dtype::U16, Dtype::I32];
    let row_starts = file.take(&name(ROWS), &types, Some(&[weight.rows + 1]))?;
    let columns = file.take(&name(COLUMNS), &[row_starts.dtype], None)?;
    let values = file.take_entries(&name(VALUES))?;
    let nnz = columns.shape[0];
    file.check_count(&name(VALUES), nnz, &values)?;

    let problem = |suffix: &str, problem: Problem| file.problem(&name(suffix), problem);
    let mut matrix = SparseMatrix::with_capacity(weight.rows, weight.cols, nnz);
    let mut starts = indices(&row_starts);
    let mut start = starts.next().unwrap_or(0);
    if start != 0 {
        return Err(problem(ROWS, Problem::FirstRow { found: start }));
    }
    let mut entries = indices(&columns).zip(file.values.values(&values.bytes));
    for (row, end) in starts.enumerate() {
        if end < start {
            return Err(problem(ROWS, Problem::RowOrder { row, start, end }));
        }
        let mut previous = -1;
        for _ in start..end {
            let Some((column, value)) = entries.next() else {
                let found = usize::try_from(end).unwrap_or(usize::MAX);
                return Err(problem(
                    ROWS,
                    Problem::Count {
                        found,
                        expected: nnz,
                    },
                ));
            };
            let fits = usize::try_from(column).is_ok_and(|column| column < weight.cols);
            let Some(col) = u32::try_from(column).ok().filter(|_| fits) else {
                let columns = weight.cols;
                return Err(problem(
                    COLUMNS,
                    Problem::ColumnRange {
                        row,
                        column,
                        columns,
                    },
                ));
            };
            if column <= previous {
                return Err(problem(
                    COLUMNS,
                    Problem::ColumnOrder {
                        row,
                        column,
                        previous,
                    },
                ));
            }
            previous = column;
            matrix.push(col, value);
        }
        matrix.end_row();
        start = end;
    }
    if matrix.nnz() != nnz {
        return Err(problem(
            ROWS,
            Problem::Count {
                found: matrix.nnz(),
                expected: nnz,
            },
        ));
    }
    Ok(matrix)
}

/// Returns the numbers of an index tensor, U16 or I32.
fn indices(raw: &RawTensor) -> impl Iterator<Item = i64> {
    let size = if raw.dtype == Dtype::U16 { 2 } else { 4 };
    raw.bytes.chunks_exact(size).map(|word| match *word {
        [a, b] => i64::from(u16::from_le_bytes([a, b])),
        _ => i64::from(i32::from_le_bytes([word[0], word[1], word[2], word[3]])),
    })
}
