//! Matrix products on slices: a checked door to the `gemm` crate, one thread a call.
//!
//! Callers cut the work into fixed pieces, so that the order of every sum, and with it every bit, is
//! the same on any number of threads.
#![expect(
    unsafe_code,
    reason = "the gemm crate takes pointers; bounds are checked here"
)]

/// A matrix inside a slice: entry `(i, j)` is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills the front of `data`.
    pub(crate) fn row_major(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols, "a matrix lies inside its slice");
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// The transpose, without moving anything.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Rows `from..from + rows`.
    pub(crate) fn rows_from(self, from: usize, rows: usize) -> Self {
        assert!(from + rows <= self.rows, "rows lie inside the matrix");
        if rows == 0 {
            return Self { rows, ..self };
        }
        Self {
            data: &self.data[from * self.row_stride..],
            rows,
            ..self
        }
    }
}

/// `out = a b`, or `out += a b`; `out` is row-major, `[a.rows, b.cols]`.
#[expect(clippy::many_single_char_names, reason = "BLAS's own names")]
pub(crate) fn matmul(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, accumulate: bool) {
    assert_eq!(a.cols, b.rows, "inner sizes agree");
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert!(out.len() >= m * n, "the product lies inside its slice");
    let strides = [a.row_stride, a.col_stride, b.row_stride, b.col_stride, n];
    let [a_rs, a_cs, b_rs, b_cs, out_rs] = strides.map(usize::cast_signed);
    // SAFETY: `Matrix` is only made, transposed and cut such that every entry lies in its slice,
    // `out` holds m * n values (asserted above), and a `&mut` overlaps nothing.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_rs,
            accumulate,
            a.data.as_ptr(),
            a_cs,
            a_rs,
            b.data.as_ptr(),
            b_cs,
            b_rs,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(matrix: Matrix<'_>, row: usize, col: usize) -> f32 {
        matrix.data[row * matrix.row_stride + col * matrix.col_stride]
    }

    /// The bounds-checked twin.
    fn matmul_slow(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, accumulate: bool) {
        for row in 0..a.rows {
            for col in 0..b.cols {
                let sum: f32 = (0..a.cols)
                    .map(|k| entry(a, row, k) * entry(b, k, col))
                    .sum();
                let old = if accumulate {
                    out[row * b.cols + col]
                } else {
                    0.0
                };
                out[row * b.cols + col] = old + sum;
            }
        }
    }

    proptest! {
        #[test]
        fn products_agree_with_the_checked_twin(
            (m, n, k) in (1_usize..40, 1_usize..40, 1_usize..70),
            (a_turned, b_turned, accumulate) in any::<(bool, bool, bool)>(),
        ) {
            let values = |len: usize, step: usize| -> Vec<f32> {
                (0..len).map(|i| ((i * step) % 17) as f32 - 8.0).collect()
            };
            let (a, b) = (values(m * k, 7), values(k * n, 5));
            let matrix = |data, rows, cols, turned| {
                if turned {
                    Matrix::row_major(data, cols, rows).t()
                } else {
                    Matrix::row_major(data, rows, cols)
                }
            };
            let (a, b) = (matrix(&a, m, k, a_turned), matrix(&b, k, n, b_turned));
            let (mut fast, mut slow) = (values(m * n, 3), values(m * n, 3));
            matmul(&mut fast, a, b, accumulate);
            matmul_slow(&mut slow, a, b, accumulate);
            // small integers: every sum is exact
            prop_assert_eq!(fast, slow);
        }
    }
}
