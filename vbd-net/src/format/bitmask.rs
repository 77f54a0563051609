//! Layout `bitmask`: one bit per entry, as in compressed-tensors up to 0.14.
//!
//! `.bitmask [rows, ceil(cols / 8)]`: bit `j % 8`, from the least significant, of byte `j / 8` is
//! set if column `j` is stored. `.row_offsets [rows]`: number of entries in earlier rows.

use crate::matrix::SparseMatrix;
use crate::tensor_file::RawTensor;
use safetensors::Dtype;

use super::file_tensors::{FileTensors, WeightTensor};
use super::{LayoutTensor, ValueType};
use crate::error::Result;
use crate::problem::Problem;

pub(crate) const SHAPE: &str = ".shape";
pub(crate) const VALUES: &str = ".compressed";
pub(crate) const BITS: &str = ".bitmask";
pub(crate) const ROWS: &str = ".row_offsets";

pub(crate) fn parts(matrix: &SparseMatrix, values: ValueType) -> Vec<LayoutTensor> {
    let rows = matrix.rows();
    vec![
        LayoutTensor::new(SHAPE, Dtype::I64, &[2]),
        LayoutTensor::new(VALUES, values.dtype(), &[matrix.nnz()]),
        LayoutTensor::new(BITS, Dtype::U8, &[rows, matrix.cols().div_ceil(8)]),
        LayoutTensor::new(ROWS, Dtype::I64, &[rows]),
    ]
}

pub(crate) fn encode(matrix: &SparseMatrix, values: ValueType) -> Vec<(&'static str, RawTensor)> {
    let (rows, row_bytes) = (matrix.rows(), matrix.cols().div_ceil(8));
    let mut bits = vec![0_u8; rows * row_bytes];
    for row in 0..rows {
        for &col in matrix.row(row).0 {
            bits[row * row_bytes + col as usize / 8] |= 1 << (col % 8);
        }
    }
    let shape = [rows as u64, matrix.cols() as u64];
    let offsets = matrix.row_ptr()[..rows]
        .iter()
        .map(|&start| u64::from(start));
    vec![
        (SHAPE, i64_tensor(shape.into_iter())),
        (VALUES, values.tensor(&[matrix.nnz()], matrix.values())),
        (
            BITS,
            RawTensor {
                dtype: Dtype::U8,
                shape: vec![rows, row_bytes],
                bytes: bits,
            },
        ),
        (ROWS, i64_tensor(offsets)),
    ]
}

/// Creates an I64 tensor. Numbers below 2^63 have the same bytes signed and unsigned.
fn i64_tensor(numbers: impl Iterator<Item = u64>) -> RawTensor {
    let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
    RawTensor {
        dtype: Dtype::I64,
        shape: vec![bytes.len() / 8],
        bytes,
    }
}

fn i64_values(raw: &RawTensor) -> impl Iterator<Item = i64> {
    let words = raw.bytes.as_chunks::<8>().0;
    words.iter().map(|&word| i64::from_le_bytes(word))
}

pub(crate) fn decode(
    file: &mut FileTensors<'_>,
    weight: &WeightTensor<'_>,
) -> Result<SparseMatrix> {
    let name = |suffix: &str| format!("{}{suffix}", weight.name);
    let (rows, cols) = (weight.rows, weight.cols);
    let row_bytes = cols.div_ceil(8);
    let shape = file.take(&name(SHAPE), &[Dtype::I64], Some(&[2]))?;
    let bits = file.take(&name(BITS), &[Dtype::U8], Some(&[rows, row_bytes]))?;
    let offsets = file.take(&name(ROWS), &[Dtype::I64], Some(&[rows]))?;
    let values = file.take_entries(&name(VALUES))?;

    let stated: Vec<i64> = i64_values(&shape).collect();
    if !stated
        .iter()
        .zip([rows, cols])
        .all(|(&stated, size)| usize::try_from(stated) == Ok(size))
    {
        let expected = vec![rows, cols];
        return Err(file.problem(
            &name(SHAPE),
            Problem::StatedShape {
                found: stated,
                expected,
            },
        ));
    }
    let nnz = bits
        .bytes
        .iter()
        .map(|byte| byte.count_ones() as usize)
        .sum();
    file.check_count(&name(VALUES), nnz, &values)?;

    let mut matrix = SparseMatrix::with_capacity(rows, cols, nnz);
    let mut entries = file.values.values(&values.bytes);
    for ((row, bits), start) in bits
        .bytes
        .chunks_exact(row_bytes)
        .enumerate()
        .zip(i64_values(&offsets))
    {
        let expected = matrix.nnz();
        if usize::try_from(start) != Ok(expected) {
            let problem = Problem::RowStart {
                row,
                found: start,
                expected,
            };
            return Err(file.problem(&name(ROWS), problem));
        }
        for (col, value) in set_bits(bits).zip(entries.by_ref()) {
            if col as usize >= cols {
                return Err(file.problem(&name(BITS), Problem::SpareBit { row }));
            }
            matrix.push(col, value);
        }
        matrix.end_row();
    }
    Ok(matrix)
}

/// Returns the indices of set bits in increasing order.
fn set_bits(bytes: &[u8]) -> impl Iterator<Item = u32> {
    (0..).step_by(8).zip(bytes).flat_map(|(start, &byte)| {
        (0..8)
            .filter(move |bit| byte >> bit & 1 == 1)
            .map(move |bit| start + bit)
    })
}
