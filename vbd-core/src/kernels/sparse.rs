//! Products with a sparse operand: rows of live weights over the samples, or pixels that are not zero
//! over the outputs.
#![expect(
    clippy::needless_range_loop,
    reason = "registers of a tile are indexed alike"
)]

use pulp::{Simd, WithSimd};

/// One row of a sparse matrix: the dense row of each entry, and its two coefficients, of the first
/// and the second dense operand.
#[derive(Clone, Copy)]
pub(crate) struct SparseRow<'a> {
    pub(crate) indices: &'a [u32],
    /// Where it is not empty, an index is looked up here: the taps of a convolution at one position.
    pub(crate) table: &'a [u32],
    pub(crate) first: &'a [f32],
    pub(crate) second: &'a [f32],
}

/// `out[n] = sum over entries of coefficient[n] * dense[n][row]`: mean and variance of an output,
/// or the two gradients of a weight's row, in one traversal.
pub(crate) struct SparseProduct<'a, 'b, const N: usize> {
    pub(crate) row: SparseRow<'a>,
    pub(crate) dense: [&'a [f32]; N],
    pub(crate) out: [&'b mut [f32]; N],
}

/// Computes each of the products; the length of `out` is a multiple of [`super::LANES`].
pub(crate) fn sparse_products<'a, 'b, const N: usize>(
    products: impl Iterator<Item = SparseProduct<'a, 'b, N>>,
) {
    struct All<I>(I);

    impl<'a, 'b, const N: usize, I: Iterator<Item = SparseProduct<'a, 'b, N>>> WithSimd for All<I> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for mut product in self.0 {
                product.with_simd(simd);
            }
        }
    }

    pulp::Arch::new().dispatch(All(products));
}

impl<const N: usize> SparseProduct<'_, '_, N> {
    #[inline(always)]
    fn strip<S: Simd, const V: usize>(&mut self, simd: S, lane: usize) {
        let width = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; N];
        let (lanes, table) = (self.out[0].len(), self.row.table);
        let coefficients = self.row.first.iter().zip(self.row.second);
        for (&index, (&first, &second)) in self.row.indices.iter().zip(coefficients) {
            let row = if table.is_empty() {
                index
            } else {
                table[index as usize]
            };
            let from = row as usize * lanes + lane;
            for n in 0..N {
                let coefficient = simd.splat_f32s(if n == 0 { first } else { second });
                let (x, _) = S::as_simd_f32s(&self.dense[n][from..from + width]);
                for v in 0..V {
                    sums[n][v] = simd.mul_add_e_f32s(coefficient, x[v], sums[n][v]);
                }
            }
        }
        for (out, sums) in self.out.iter_mut().zip(&sums) {
            let (out, _) = S::as_mut_simd_f32s(&mut out[lane..lane + width]);
            out[..V].copy_from_slice(sums);
        }
    }

    #[inline(always)]
    fn with_simd<S: Simd>(&mut self, simd: S) {
        let lanes = self.out[0].len();
        debug_assert!(lanes.is_multiple_of(super::LANES));
        let most = if S::F32_LANES == super::LANES { 7 } else { 4 };
        let mut lane = 0;
        while lane < lanes {
            let vectors = ((lanes - lane) / S::F32_LANES).min(most);
            match vectors {
                1 => self.strip::<S, 1>(simd, lane),
                2 => self.strip::<S, 2>(simd, lane),
                3 => self.strip::<S, 3>(simd, lane),
                4 => self.strip::<S, 4>(simd, lane),
                5 => self.strip::<S, 5>(simd, lane),
                6 => self.strip::<S, 6>(simd, lane),
                _ => self.strip::<S, 7>(simd, lane),
            }
            lane += vectors * S::F32_LANES;
        }
    }
}

/// The two gradients of one live weight: sums over positions and samples of `x g` and `x^2 g_variance`.
///
/// # Shapes
/// - `rows`: `[positions]`, the weight's input row; `g`, `g_variance`: `[positions, lanes]`
#[inline(always)]
pub(crate) fn weight_gradient<S: Simd>(
    simd: S,
    x: &[f32],
    rows: impl Iterator<Item = u32>,
    (g, g_variance): (&[f32], &[f32]),
    lanes: usize,
) -> (f32, f32) {
    let mut sums = [simd.splat_f32s(0.0); 2];
    let gradients = g.chunks_exact(lanes).zip(g_variance.chunks_exact(lanes));
    for (row, (g, g_variance)) in rows.zip(gradients) {
        let (x, _) = S::as_simd_f32s(&x[row as usize * lanes..][..lanes]);
        let ((g, _), (g_variance, _)) = (S::as_simd_f32s(g), S::as_simd_f32s(g_variance));
        for ((&x, &g), &g_variance) in x.iter().zip(g).zip(g_variance) {
            sums[0] = simd.mul_add_e_f32s(x, g, sums[0]);
            sums[1] = simd.mul_add_e_f32s(simd.mul_f32s(x, x), g_variance, sums[1]);
        }
    }
    (simd.reduce_sum_f32s(sums[0]), simd.reduce_sum_f32s(sums[1]))
}

/// `out[n] += coefficient[n] * dense[n]`.
#[inline(always)]
pub(crate) fn add_scaled<S: Simd>(simd: S, out: &mut [f32], dense: &[f32], coefficient: f32) {
    let coefficient = simd.splat_f32s(coefficient);
    let ((out, _), (dense, _)) = (S::as_mut_simd_f32s(out), S::as_simd_f32s(dense));
    for (out, &dense) in out.iter_mut().zip(dense) {
        *out = simd.mul_add_e_f32s(coefficient, dense, *out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values;

    #[test]
    fn sparse_products_agree_with_plain_sums() {
        for (entries, lanes) in [(0, 16), (1, 112), (9, 128), (5, 240)] {
            let dense = [test_values(1, 20 * lanes), test_values(2, 20 * lanes)];
            let (first, second) = (test_values(3, entries), test_values(4, entries));
            let rows: Vec<u32> = (0..entries)
                .map(|e| u32::try_from((e * 7) % 20).unwrap())
                .collect();
            let table: Vec<u32> = (0..20).map(|i| (i * 3 + 1) % 20).collect();
            for table in [&[][..], &table] {
                let mut out = [test_values(5, lanes), test_values(6, lanes)];
                let [a, b] = &mut out;
                let row = SparseRow {
                    indices: &rows,
                    table,
                    first: &first,
                    second: &second,
                };
                let product = SparseProduct {
                    row,
                    dense: [&dense[0], &dense[1]],
                    out: [a, b],
                };
                sparse_products(std::iter::once(product));
                for (n, coefficients) in [&first, &second].into_iter().enumerate() {
                    for lane in 0..lanes {
                        let looked_up = |row: u32| {
                            if table.is_empty() {
                                row
                            } else {
                                table[row as usize]
                            }
                        };
                        let terms = rows.iter().zip(coefficients);
                        let sum: f32 = terms
                            .map(|(&r, c)| c * dense[n][looked_up(r) as usize * lanes + lane])
                            .sum();
                        assert!((out[n][lane] - sum).abs() < 1e-4, "{entries} {lanes}");
                    }
                }
            }
        }
    }
}
