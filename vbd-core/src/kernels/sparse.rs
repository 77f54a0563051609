//! Products with a sparse operand: rows of live weights over samples, or nonzero pixels over
//! outputs.
#![expect(
    clippy::needless_range_loop,
    reason = "registers of a tile are indexed alike"
)]

use pulp::{Simd, WithSimd};

use super::vector::{PartialSums, each_vector};

/// Vectors per output whose sums stay in registers: with two outputs they fill 16, except a
/// coefficient and an input.
const MOST_VECTORS: usize = 7;

/// A row of a sparse matrix: for each entry the dense row, and coefficients for the first and the
/// second dense operand.
#[derive(Clone, Copy)]
pub(crate) struct SparseRow<'a> {
    pub(crate) indices: &'a [u32],
    /// If not empty, maps indices: the taps of a convolution at one position.
    pub(crate) table: &'a [u32],
    pub(crate) first: &'a [f32],
    pub(crate) second: &'a [f32],
}

impl SparseRow<'_> {
    #[inline(always)]
    fn place(&self, index: u32) -> usize {
        let row = if self.table.is_empty() {
            index
        } else {
            self.table[index as usize]
        };
        row as usize
    }
}

/// `out[n] = sum over entries of coefficient[n] * dense[n][row]`: mean and variance of an output,
/// or both gradients of a weight's row, in one traversal.
pub(crate) struct SparseProduct<'a, 'b, const N: usize> {
    pub(crate) row: SparseRow<'a>,
    pub(crate) dense: [&'a [f32]; N],
    pub(crate) out: [&'b mut [f32]; N],
}

// limit sparse_products: avx2 0.40, scalar 18 instructions a multiply-add

/// Computes the products.
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

    crate::kernels::dispatch::dispatch(All(products));
}

impl<const N: usize> SparseProduct<'_, '_, N> {
    /// Computes `V` vectors from `lane` on. The last one ends with the output and may recompute
    /// lanes of the previous one with the same result.
    #[inline(always)]
    fn strip<S: Simd, const V: usize>(&mut self, simd: S, lane: usize) {
        let lanes = self.out[0].len();
        let width = (lanes - lane).min(V * S::F32_LANES);
        let last = width - S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; N];
        let coefficients = self.row.first.iter().zip(self.row.second);
        for (&index, (&first, &second)) in self.row.indices.iter().zip(coefficients) {
            let from = self.row.place(index) * lanes + lane;
            for n in 0..N {
                let coefficient = simd.splat_f32s(if n == 0 { first } else { second });
                let x = &self.dense[n][from..from + width];
                let (whole, end) = (S::as_simd_f32s(x).0, S::as_simd_f32s(&x[last..]).0);
                for v in 0..V - 1 {
                    sums[n][v] = simd.mul_add_f32s(coefficient, whole[v], sums[n][v]);
                }
                sums[n][V - 1] = simd.mul_add_f32s(coefficient, end[0], sums[n][V - 1]);
            }
        }
        for (out, sums) in self.out.iter_mut().zip(&sums) {
            let out = &mut out[lane..lane + width];
            S::as_mut_simd_f32s(out).0[..V - 1].copy_from_slice(&sums[..V - 1]);
            S::as_mut_simd_f32s(&mut out[last..]).0[0] = sums[V - 1];
        }
    }

    /// Computes an output of less than a vector.
    #[inline(always)]
    fn narrow<S: Simd>(&mut self, simd: S) {
        let lanes = self.out[0].len();
        for n in 0..N {
            let coefficients = if n == 0 {
                self.row.first
            } else {
                self.row.second
            };
            let mut sum = simd.splat_f32s(0.0);
            for (&index, &coefficient) in self.row.indices.iter().zip(coefficients) {
                let row = self.row.place(index) * lanes;
                let x = simd.partial_load_f32s(&self.dense[n][row..row + lanes]);
                sum = simd.mul_add_f32s(simd.splat_f32s(coefficient), x, sum);
            }
            simd.partial_store_f32s(self.out[n], sum);
        }
    }

    #[inline(always)]
    fn with_simd<S: Simd>(&mut self, simd: S) {
        let lanes = self.out[0].len();
        if lanes < S::F32_LANES {
            return self.narrow(simd);
        }
        let mut lane = 0;
        while lane < lanes {
            let vectors = (lanes - lane).div_ceil(S::F32_LANES).min(MOST_VECTORS);
            match vectors {
                // Less than a vector is left: one that covers lanes of the last strip.
                1 => self.strip::<S, 1>(simd, lanes - S::F32_LANES),
                2 => self.strip::<S, 2>(simd, lane),
                3 => self.strip::<S, 3>(simd, lane),
                4 => self.strip::<S, 4>(simd, lane),
                5 => self.strip::<S, 5>(simd, lane),
                6 => self.strip::<S, 6>(simd, lane),
                _ => self.strip::<S, MOST_VECTORS>(simd, lane),
            }
            lane += vectors * S::F32_LANES;
        }
    }
}

/// Computes both gradients of one live weight: sums over positions and samples of `x g` and `x^2
/// g_variance`.
///
/// # Shapes
/// - `rows`: `[positions]`, the weight's input row; `g`, `g_variance`: `[positions, lanes]`
#[inline(always)]
pub(crate) fn weight_gradient<S: Simd>(
    simd: S,
    x: &[f32],
    rows: impl Iterator<Item = u32>,
    g: [&[f32]; 2],
    lanes: usize,
) -> [f32; 2] {
    let mut sums = PartialSums::zero(simd);
    let gradients = g[0].chunks_exact(lanes).zip(g[1].chunks_exact(lanes));
    for (row, (g, g_variance)) in rows.zip(gradients) {
        let x = &x[row as usize * lanes..][..lanes];
        sums.add(
            [x, g, g_variance],
            #[inline(always)]
            |[x, g, g_variance], [mean, variance]| {
                [x.mul_add(g, mean), (x * x).mul_add(g_variance, variance)]
            },
        );
    }
    sums.totals()
}

/// Computes `out += coefficient * dense`.
#[inline(always)]
pub(crate) fn add_scaled<S: Simd>(simd: S, out: &mut [f32], dense: &[f32], coefficient: f32) {
    each_vector(
        simd,
        [out],
        [dense],
        #[inline(always)]
        |[out], [dense]| [dense.like(coefficient).mul_add(dense, out)],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;
    use crate::kernels::vector::kernel;

    #[test]
    fn sparse_products_agree_with_sums_in_f64_and_are_the_same_bits_on_every_width() {
        for (entries, lanes) in [
            (0, 16),
            (1, 104),
            (9, 128),
            (5, 248),
            (4, 8),
            (3, 120),
            (2, 13),
        ] {
            let dense = [test_values(1, 20 * lanes), test_values(2, 20 * lanes)];
            let (first, second) = (test_values(3, entries), test_values(4, entries));
            let rows: Vec<u32> = (0..entries)
                .map(|e| u32::try_from((e * 7) % 20).unwrap())
                .collect();
            let table: Vec<u32> = (0..20).map(|i| (i * 3 + 1) % 20).collect();
            for table in [&[][..], &table] {
                let row = SparseRow {
                    indices: &rows,
                    table,
                    first: &first,
                    second: &second,
                };
                let out = same_bits(|| {
                    let mut out = [test_values(5, lanes), test_values(6, lanes)];
                    let [a, b] = &mut out;
                    let dense = [&dense[0][..], &dense[1]];
                    sparse_products(std::iter::once(SparseProduct {
                        row,
                        dense,
                        out: [a, b],
                    }));
                    out
                });
                for (n, coefficients) in [&first, &second].into_iter().enumerate() {
                    for lane in 0..lanes {
                        let terms = rows.iter().zip(coefficients).map(|(&index, &coefficient)| {
                            f64::from(coefficient)
                                * f64::from(dense[n][row.place(index) * lanes + lane])
                        });
                        let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| {
                            (sum + term, size + term.abs())
                        });
                        let error = (f64::from(out[n][lane]) - sum).abs();
                        assert!(error <= 1e-6 * size, "{entries} {lanes}");
                    }
                }
            }
        }
    }

    kernel! {
        fn gradient_of<S>(simd, x: &[f32], rows: &[u32], g: [&[f32]; 2], lanes: usize) -> [f32; 2] {
            weight_gradient(simd, x, rows.iter().copied(), g, lanes)
        }
    }

    kernel! {
        fn scaled<S>(simd, out: &mut [f32], x: &[f32]) {
            add_scaled(simd, out, x, 0.3);
        }
    }

    #[test]
    fn gradients_of_live_weights_agree_with_sums_in_f64_and_are_the_same_bits_on_every_width() {
        let (rows, lanes) = ([4, 0, 7, 7, 2], 104);
        let x = test_values(1, 8 * lanes);
        let g = [
            test_values(2, rows.len() * lanes),
            test_values(3, rows.len() * lanes),
        ];
        let found = same_bits(|| gradient_of(&x, &rows, [&g[0], &g[1]], lanes));
        let mut sums = [0.0; 2];
        for (position, &row) in rows.iter().enumerate() {
            for lane in 0..lanes {
                let x = f64::from(x[row as usize * lanes + lane]);
                let at = position * lanes + lane;
                sums[0] += x * f64::from(g[0][at]);
                sums[1] += x * x * f64::from(g[1][at]);
            }
        }
        for (found, sum) in found.into_iter().zip(sums) {
            assert!((f64::from(found) - sum).abs() < 1e-6 * (rows.len() * lanes) as f64);
        }
    }

    #[test]
    fn a_scaled_sum_is_fused_on_every_width() {
        let (out, x) = (test_values(1, 37), test_values(2, 37));
        let found = same_bits(|| {
            let mut out = out.clone();
            scaled(&mut out, &x);
            out
        });
        for ((found, out), x) in found.iter().zip(&out).zip(&x) {
            assert_eq!(found.to_bits(), 0.3_f32.mul_add(*x, *out).to_bits());
        }
    }
}
