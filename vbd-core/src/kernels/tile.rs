//! Dense products with a gathered operand: convolution and its gradients without a column buffer.
//!
//! Activations are `[features, lanes]`, so what a tap of a convolution reads is a row of `lanes`
//! samples, wherever it lies; a linear layer is a convolution of one position. Products are summed in
//! a tile of registers: some rows of the weight times some vectors of samples. With `N = 2` mean
//! (`theta x`) and variance (`sigma2 x^2`) share one traversal.
#![expect(
    clippy::needless_range_loop,
    reason = "registers of a tile are indexed alike"
)]

use std::ops::Range;

use pulp::{Simd, WithSimd};

/// Rows of a weight in one tile.
const TILE_ROWS: usize = 3;

/// Taps that lie `step` apart: `len` of them from each start.
pub(crate) struct Taps<'a> {
    /// For each run: its first weight (in units of `start_step`), and its first input row (in rows of
    /// `lanes`).
    pub(crate) starts: &'a [(u32, u32)],
    pub(crate) start_step: usize,
    /// Taps of a run.
    pub(crate) len: usize,
    /// From one tap's input row to the next one's.
    pub(crate) input_step: usize,
    /// From one tap's weight to the next one's.
    pub(crate) weight_step: usize,
    /// From one row's weight to the next row's, of the same tap.
    pub(crate) row_step: usize,
}

/// `out[row] = sum over taps of weight[row, tap] * input[tap]`, for `N` pairs of weight and input.
pub(crate) struct Product<'a, 'b, const N: usize> {
    pub(crate) weights: [&'a [f32]; N],
    pub(crate) inputs: [&'a [f32]; N],
    pub(crate) taps: &'a Taps<'a>,
    pub(crate) rows: usize,
    pub(crate) lanes: usize,
    pub(crate) out: [&'b mut [f32]; N],
    /// From one row of `out` to the next.
    pub(crate) out_step: usize,
    /// Whether to add to what `out` holds.
    pub(crate) accumulate: bool,
}

impl<const N: usize> Product<'_, '_, N> {
    /// Computes the product; `lanes` is a multiple of [`super::LANES`].
    pub(crate) fn run(self) {
        debug_assert!(self.lanes.is_multiple_of(super::LANES));
        pulp::Arch::new().dispatch(self);
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, row: usize, lane: usize) {
        let width = V * S::F32_LANES;
        let mut sums = [[[simd.splat_f32s(0.0); V]; R]; N];
        if self.accumulate {
            for n in 0..N {
                for r in 0..R {
                    let from = (row + r) * self.out_step + lane;
                    let (out, _) = S::as_simd_f32s(&self.out[n][from..from + width]);
                    sums[n][r].copy_from_slice(&out[..V]);
                }
            }
        }
        let taps = self.taps;
        for &(weight, input) in taps.starts {
            let mut weight = weight as usize * taps.start_step + row * taps.row_step;
            let mut input = input as usize * self.lanes + lane;
            for _ in 0..taps.len {
                for n in 0..N {
                    let (x, _) = S::as_simd_f32s(&self.inputs[n][input..input + width]);
                    let w: [S::f32s; R] = std::array::from_fn(|r| {
                        simd.splat_f32s(self.weights[n][weight + r * taps.row_step])
                    });
                    for v in 0..V {
                        for r in 0..R {
                            sums[n][r][v] = simd.mul_add_e_f32s(w[r], x[v], sums[n][r][v]);
                        }
                    }
                }
                weight += taps.weight_step;
                input += taps.input_step;
            }
        }
        for n in 0..N {
            for r in 0..R {
                let from = (row + r) * self.out_step + lane;
                let (out, _) = S::as_mut_simd_f32s(&mut self.out[n][from..from + width]);
                out[..V].copy_from_slice(&sums[n][r]);
            }
        }
    }

    #[inline(always)]
    fn strip<S: Simd, const V: usize>(&mut self, simd: S, lane: usize) {
        let mut row = 0;
        while row < self.rows {
            match self.rows - row {
                1 => self.tile::<S, 1, V>(simd, row, lane),
                2 => self.tile::<S, 2, V>(simd, row, lane),
                _ => self.tile::<S, TILE_ROWS, V>(simd, row, lane),
            }
            row += TILE_ROWS;
        }
    }
}

impl<const N: usize> WithSimd for Product<'_, '_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // 32 registers with AVX-512, 16 elsewhere
        let most = if S::F32_LANES == super::LANES { 4 } else { 2 };
        let mut lane = 0;
        while lane < self.lanes {
            let vectors = ((self.lanes - lane) / S::F32_LANES).min(most);
            match vectors {
                1 => self.strip::<S, 1>(simd, lane),
                2 => self.strip::<S, 2>(simd, lane),
                3 => self.strip::<S, 3>(simd, lane),
                _ => self.strip::<S, 4>(simd, lane),
            }
            lane += vectors * S::F32_LANES;
        }
    }
}

/// Rows of a tile of [`Dots`] with 4 taps; a tile of 5 taps has 5. Both fill 32 registers.
const TILE_DOT_ROWS: usize = 6;
/// Values of `g` that one pass over the taps reads: they stay in a core's cache.
const DOT_VALUES: usize = 64 * 1024;

/// `out[tap, row] = sum over positions and samples of input[position, tap] * g[row, position]`.
pub(crate) struct Dots<'a, 'b> {
    pub(crate) input: &'a [f32],
    /// `[positions, taps]`: the input row of a tap.
    pub(crate) input_rows: &'a [u32],
    pub(crate) taps: usize,
    /// `[rows, positions, lanes]`.
    pub(crate) g: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) positions: usize,
    pub(crate) lanes: usize,
    /// `[taps, rows]`.
    pub(crate) out: &'b mut [f32],
}

impl Dots<'_, '_> {
    /// Computes the sums; `lanes` is a multiple of [`super::LANES`].
    pub(crate) fn run(self) {
        debug_assert!(self.lanes.is_multiple_of(super::LANES));
        pulp::Arch::new().dispatch(self);
    }

    #[inline(always)]
    fn tile<S: Simd, const T: usize, const R: usize>(
        &mut self,
        simd: S,
        (tap, row): (usize, usize),
        positions: Range<usize>,
    ) {
        let mut sums = [[simd.splat_f32s(0.0); R]; T];
        let vectors = self.lanes / S::F32_LANES;
        let is_first = positions.start == 0;
        for position in positions {
            let rows = &self.input_rows[position * self.taps + tap..][..T];
            let x: [&[S::f32s]; T] = std::array::from_fn(|t| {
                let from = rows[t] as usize * self.lanes;
                &S::as_simd_f32s(&self.input[from..from + self.lanes]).0[..vectors]
            });
            let g: [&[S::f32s]; R] = std::array::from_fn(|r| {
                let from = ((row + r) * self.positions + position) * self.lanes;
                &S::as_simd_f32s(&self.g[from..from + self.lanes]).0[..vectors]
            });
            for v in 0..vectors {
                let g: [S::f32s; R] = std::array::from_fn(|r| g[r][v]);
                for t in 0..T {
                    for r in 0..R {
                        sums[t][r] = simd.mul_add_e_f32s(x[t][v], g[r], sums[t][r]);
                    }
                }
            }
        }
        for (t, sums) in sums.iter().enumerate() {
            for (r, &sum) in sums.iter().enumerate() {
                let out = &mut self.out[(tap + t) * self.rows + row + r];
                let before = if is_first { 0.0 } else { *out };
                *out = before + simd.reduce_sum_f32s(sum);
            }
        }
    }

    #[inline(always)]
    fn strip<S: Simd, const T: usize>(&mut self, simd: S, tap: usize, positions: &Range<usize>) {
        let most = if T == 5 { 5 } else { TILE_DOT_ROWS };
        let mut row = 0;
        while row < self.rows {
            let (at, positions) = ((tap, row), positions.clone());
            match (self.rows - row).min(most) {
                1 => self.tile::<S, T, 1>(simd, at, positions),
                2 => self.tile::<S, T, 2>(simd, at, positions),
                3 => self.tile::<S, T, 3>(simd, at, positions),
                4 => self.tile::<S, T, 4>(simd, at, positions),
                5 => self.tile::<S, T, 5>(simd, at, positions),
                _ => self.tile::<S, T, TILE_DOT_ROWS>(simd, at, positions),
            }
            row += most;
        }
    }
}

impl WithSimd for Dots<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let tile_taps = if self.rows.is_multiple_of(TILE_DOT_ROWS) {
            4
        } else {
            5
        };
        let step = (DOT_VALUES / (self.rows * self.lanes)).max(1);
        for first in (0..self.positions).step_by(step) {
            let positions = first..self.positions.min(first + step);
            let mut tap = 0;
            while tap < self.taps {
                let taps = if self.taps - tap >= tile_taps {
                    tile_taps
                } else {
                    1
                };
                match taps {
                    5 => self.strip::<S, 5>(simd, tap, &positions),
                    4 => self.strip::<S, 4>(simd, tap, &positions),
                    _ => self.strip::<S, 1>(simd, tap, &positions),
                }
                tap += taps;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values;

    #[test]
    fn products_agree_with_plain_sums() {
        for (rows, len, lanes) in [(1, 3, 16), (2, 5, 48), (3, 4, 112), (7, 6, 80)] {
            let (row_step, weight_step, input_step, out_step) =
                (1, rows + 1, lanes + 16, lanes * 2);
            let starts = [(0_u32, 1_u32), (2, 0), (1, 2)];
            let weight_len = 8 + len * weight_step + rows;
            let weights = [test_values(1, weight_len), test_values(2, weight_len)];
            let input_len = 3 * lanes + len * input_step + lanes;
            let inputs = [test_values(3, input_len), test_values(4, input_len)];
            let start_step = 3;
            let taps = Taps {
                starts: &starts,
                start_step,
                len,
                input_step,
                weight_step,
                row_step,
            };
            for accumulate in [false, true] {
                let mut out = [
                    test_values(5, rows * out_step),
                    test_values(6, rows * out_step),
                ];
                let before = out.clone();
                let [first, second] = &mut out;
                let product = Product {
                    weights: [&weights[0], &weights[1]],
                    inputs: [&inputs[0], &inputs[1]],
                    taps: &taps,
                    rows,
                    lanes,
                    out: [first, second],
                    out_step,
                    accumulate,
                };
                product.run();
                for n in 0..2 {
                    for row in 0..rows {
                        for lane in 0..lanes {
                            let mut sum = if accumulate {
                                before[n][row * out_step + lane]
                            } else {
                                0.0
                            };
                            for (weight, input) in starts {
                                for tap in 0..len {
                                    let w = weights[n]
                                        [weight as usize * start_step + tap * weight_step + row];
                                    sum += w * inputs[n]
                                        [input as usize * lanes + tap * input_step + lane];
                                }
                            }
                            let found = out[n][row * out_step + lane];
                            assert!(
                                (found - sum).abs() < 1e-4,
                                "{rows} {len} {lanes}: {found} {sum}"
                            );
                        }
                        assert_eq!(
                            out[n][row * out_step + lanes..][..lanes],
                            before[n][row * out_step + lanes..][..lanes]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn dots_agree_with_plain_sums() {
        for (rows, taps, positions, lanes) in [
            (1, 1, 1, 16),
            (6, 5, 3, 112),
            (7, 9, 4, 32),
            (5, 10, 700, 32),
            (4, 2, 5, 48),
        ] {
            let input = test_values(1, 40 * lanes);
            let g = test_values(2, rows * positions * lanes);
            let input_rows: Vec<u32> = (0..positions * taps)
                .map(|i| u32::try_from((i * 7) % 40).unwrap())
                .collect();
            let mut out = vec![0.0; taps * rows];
            Dots {
                input: &input,
                input_rows: &input_rows,
                taps,
                g: &g,
                rows,
                positions,
                lanes,
                out: &mut out,
            }
            .run();
            for tap in 0..taps {
                for row in 0..rows {
                    let mut sum = 0.0;
                    for position in 0..positions {
                        let x =
                            &input[input_rows[position * taps + tap] as usize * lanes..][..lanes];
                        let g = &g[(row * positions + position) * lanes..][..lanes];
                        sum += x.iter().zip(g).map(|(x, g)| x * g).sum::<f32>();
                    }
                    let found = out[tap * rows + row];
                    assert!((found - sum).abs() < 1e-4, "{rows} {taps}: {found} {sum}");
                }
            }
        }
    }
}
