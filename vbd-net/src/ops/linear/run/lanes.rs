//! Sparse linear layer for many samples: one sample per lane, so that each weight is read once for
//! all.
//!
//! Activations are feature-major, `[features, lanes]`.

use crate::matrix::SparseMatrix;
use pulp::{Arch, Simd, WithSimd};

/// Number of sample vectors whose sums stay in registers.
const STRIP: usize = 4;

/// A sparse weight stored by rows.
#[derive(Debug)]
pub(crate) struct LaneRows {
    rows: Vec<LaneRow>,
    /// Column and value of each entry, row by row.
    entries: Vec<(u32, f32)>,
    relu: bool,
}

/// An output row. Rows are ordered by the positions of their inputs, so that consecutive rows find
/// theirs in cache.
#[derive(Debug, Clone, Copy)]
struct LaneRow {
    output: u32,
    /// Number of entries.
    len: u32,
    bias: f32,
}

impl LaneRows {
    pub(crate) fn new(weight: &SparseMatrix, bias: &[f32], relu: bool) -> Self {
        let centre = |row: u32| {
            let columns = weight.row(row as usize).0;
            let sum: u64 = columns.iter().map(|&col| u64::from(col)).sum();
            sum / (columns.len() as u64).max(1)
        };
        let mut order: Vec<u32> = (0..).take(bias.len()).collect();
        order.sort_by_key(|&row| centre(row));
        let mut rows = Vec::with_capacity(bias.len());
        let mut entries = Vec::with_capacity(weight.nnz());
        for output in order {
            let (columns, values) = weight.row(output as usize);
            let len = u32::try_from(columns.len()).expect("a row is shorter than its weight");
            rows.push(LaneRow {
                output,
                len,
                bias: bias[output as usize],
            });
            entries.extend(columns.iter().copied().zip(values.iter().copied()));
        }
        Self {
            rows,
            entries,
            relu,
        }
    }

    /// Computes `y = W x + b`, optionally with ReLU, for `lanes` samples, a multiple of
    /// [`LANES`](crate::runtime::kernels::LANES).
    pub(crate) fn run(&self, arch: Arch, x: &[f32], y: &mut [f32], lanes: usize) {
        arch.dispatch(Run {
            rows: self,
            x,
            y,
            lanes,
        });
    }
}

struct Run<'a> {
    rows: &'a LaneRows,
    x: &'a [f32],
    y: &'a mut [f32],
    lanes: usize,
}

impl Run<'_> {
    #[inline(always)]
    fn strips<S: Simd, const V: usize>(self, simd: S) {
        let Self { rows, x, y, lanes } = self;
        let strips = lanes / (V * S::F32_LANES);
        let x = S::as_simd_f32s(x).0.as_chunks::<V>().0;
        let y = S::as_mut_simd_f32s(y).0.as_chunks_mut::<V>().0;
        let zero = simd.splat_f32s(0.0);
        for strip in 0..strips {
            let mut entries = &rows.entries[..];
            for row in &rows.rows {
                let (these, rest) = entries.split_at(row.len as usize);
                entries = rest;
                let mut sums = [simd.splat_f32s(row.bias); V];
                for &(col, value) in these {
                    let x = &x[col as usize * strips + strip];
                    let value = simd.splat_f32s(value);
                    for (sum, &x) in sums.iter_mut().zip(x) {
                        *sum = simd.mul_add_e_f32s(value, x, *sum);
                    }
                }
                if rows.relu {
                    for sum in &mut sums {
                        *sum = simd.max_f32s(*sum, zero);
                    }
                }
                y[row.output as usize * strips + strip] = sums;
            }
        }
    }
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.lanes / S::F32_LANES {
            1 => self.strips::<S, 1>(simd),
            2 => self.strips::<S, 2>(simd),
            vectors if vectors.is_multiple_of(STRIP) => self.strips::<S, STRIP>(simd),
            _ => self.strips::<S, 1>(simd),
        }
    }
}
