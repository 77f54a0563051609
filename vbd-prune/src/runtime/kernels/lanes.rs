//! Many samples through a linear layer: one sample a lane, so that a weight is read once for all.
//!
//! Activations are feature-major, `[features, lanes]`.

use pulp::{Arch, Simd, WithSimd};

use crate::matrix::SparseMatrix;

/// Vectors of samples whose sums stay in registers at a time.
const STRIP: usize = 4;

/// A sparse weight in rows.
#[derive(Debug)]
pub(in super::super) struct LaneRows {
    row_ptr: Vec<u32>,
    /// Column and value of each entry.
    entries: Vec<(u32, f32)>,
    bias: Vec<f32>,
    relu: bool,
}

impl LaneRows {
    pub(in super::super) fn new(weight: &SparseMatrix, bias: &[f32], relu: bool) -> Self {
        let columns = weight.col_idx().iter().copied();
        Self {
            row_ptr: weight.row_ptr().to_vec(),
            entries: columns.zip(weight.values().iter().copied()).collect(),
            bias: bias.to_vec(),
            relu,
        }
    }

    /// `y = W x + b`, and the ReLU of it, for `lanes` samples, a multiple of [`super::LANES`].
    pub(in super::super) fn run(&self, arch: Arch, x: &[f32], y: &mut [f32], lanes: usize) {
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
            let ends = rows.row_ptr.windows(2).zip(&rows.bias);
            for ((row, &bias), y) in ends.zip(y[strip..].iter_mut().step_by(strips)) {
                let mut sums = [simd.splat_f32s(bias); V];
                for &(col, value) in &rows.entries[row[0] as usize..row[1] as usize] {
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
                *y = sums;
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
