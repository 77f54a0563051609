//! Dense linear layer for one sample: SIMD across outputs, column by column.

use crate::matrix::SparseMatrix;
use pulp::{Arch, Simd, WithSimd};

use crate::runtime::Buffer;
use crate::runtime::kernels::{LANES, Pixel};

/// Number of output vectors whose sums stay in registers.
const STRIP: usize = 8;

/// A weight stored by columns, with outputs padded to whole vectors.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Position of each column's input.
    places: Vec<u32>,
    /// `[columns, width]`.
    weights: Buffer,
    /// `[width]`.
    bias: Buffer,
    width: usize,
    relu: bool,
}

impl Columns {
    /// Returns the padded number of outputs.
    fn width(rows: usize) -> usize {
        rows.next_multiple_of(LANES)
    }

    /// Returns the number of stored values of a weight with `columns` columns.
    pub(crate) fn len(rows: usize, columns: usize) -> usize {
        Self::width(rows).saturating_mul(columns)
    }

    /// Creates the weight. `columns` are the columns with entries, increasing; `place` maps a
    /// column to the position of its input.
    pub(crate) fn new(
        weight: &SparseMatrix,
        columns: &[u32],
        bias: &[f32],
        relu: bool,
        place: impl Fn(u32) -> u32,
    ) -> Self {
        let width = Self::width(weight.rows());
        let mut weights = Buffer::zeroed(columns.len() * width);
        let mut padded = Buffer::zeroed(width);
        padded.get_mut()[..bias.len()].copy_from_slice(bias);
        let all = weights.get_mut();
        for row in 0..weight.rows() {
            let (cols, values) = weight.row(row);
            for (col, &value) in cols.iter().zip(values) {
                let column = columns.partition_point(|other| other < col);
                all[column * width + row] = value;
            }
        }
        let places = columns.iter().map(|&col| place(col)).collect();
        Self {
            places,
            weights,
            bias: padded,
            width,
            relu,
        }
    }

    /// Computes `y = W x + b`, optionally with ReLU. `y` has room for whole vectors, `nonzero` for
    /// all columns.
    pub(crate) fn run<T: Pixel>(
        &self,
        arch: Arch,
        x: &[T],
        y: &mut [f32],
        nonzero: &mut Vec<(u32, f32)>,
    ) {
        arch.dispatch(Run {
            columns: self,
            x,
            y,
            nonzero,
        });
    }
}

struct Run<'a, T> {
    columns: &'a Columns,
    x: &'a [T],
    y: &'a mut [f32],
    nonzero: &'a mut Vec<(u32, f32)>,
}

impl<T: Pixel> Run<'_, T> {
    /// Sums `V` vectors of outputs over all inputs, which `inputs` gives one by one.
    #[inline(always)]
    fn strip<S: Simd, const V: usize>(
        columns: &Columns,
        y: &mut [f32],
        simd: S,
        from: usize,
        inputs: impl Iterator<Item = (usize, f32)>,
    ) {
        let lanes = from..from + V * S::F32_LANES;
        let mut sums = [simd.splat_f32s(0.0); V];
        sums.copy_from_slice(S::as_simd_f32s(&columns.bias.get()[lanes.clone()]).0);
        let weights = columns.weights.get();
        for (column, x) in inputs {
            let start = column * columns.width;
            let column = &weights[start + lanes.start..start + lanes.end];
            let x = simd.splat_f32s(x);
            for (sum, &weight) in sums.iter_mut().zip(S::as_simd_f32s(column).0) {
                *sum = simd.mul_add_e_f32s(weight, x, *sum);
            }
        }
        if columns.relu {
            let zero = simd.splat_f32s(0.0);
            for sum in &mut sums {
                *sum = simd.max_f32s(*sum, zero);
            }
        }
        S::as_mut_simd_f32s(&mut y[lanes]).0.copy_from_slice(&sums);
    }

    #[inline(always)]
    fn strips<S: Simd, I: Iterator<Item = (usize, f32)>>(
        columns: &Columns,
        y: &mut [f32],
        simd: S,
        inputs: impl Fn() -> I,
    ) {
        let mut from = 0;
        while from < columns.width {
            let vectors = ((columns.width - from) / S::F32_LANES).min(STRIP);
            match vectors {
                1 => Self::strip::<S, 1>(columns, y, simd, from, inputs()),
                2 => Self::strip::<S, 2>(columns, y, simd, from, inputs()),
                3 => Self::strip::<S, 3>(columns, y, simd, from, inputs()),
                4 => Self::strip::<S, 4>(columns, y, simd, from, inputs()),
                5 => Self::strip::<S, 5>(columns, y, simd, from, inputs()),
                6 => Self::strip::<S, 6>(columns, y, simd, from, inputs()),
                7 => Self::strip::<S, 7>(columns, y, simd, from, inputs()),
                _ => Self::strip::<S, STRIP>(columns, y, simd, from, inputs()),
            }
            from += vectors * S::F32_LANES;
        }
    }
}

impl<T: Pixel> WithSimd for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            columns,
            x,
            y,
            nonzero,
        } = self;
        let inputs = || {
            columns
                .places
                .iter()
                .map(|&place| x[place as usize].to_f32())
                .enumerate()
        };
        if columns.width <= STRIP * S::F32_LANES {
            // A branch on every input costs more than the products of a few vectors.
            Self::strips(columns, y, simd, inputs);
        } else {
            nonzero.clear();
            nonzero.extend(
                (0..)
                    .zip(inputs())
                    .filter_map(|(column, (_, x))| (x != 0.0).then_some((column, x))),
            );
            Self::strips(columns, y, simd, || {
                nonzero.iter().map(|&(column, x)| (column as usize, x))
            });
        }
    }
}
