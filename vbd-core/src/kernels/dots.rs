//! Weight gradient of a convolution: dot products of a tap's inputs with the gradients of a row's
//! outputs, over positions and samples.
//!
//! A tile of taps and rows is summed in registers. Each sum consists of [`PARTIAL_SUMS`] partial
//! sums. An instruction set with narrower vectors traverses the values once per part of them, so
//! that all add in the same order.
#![expect(
    unsafe_code,
    reason = "the innermost loops read through pointers; `Dots::run` checks all bounds before"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "registers of a tile are indexed alike"
)]

use pulp::{Simd, WithSimd};

use super::product::{TILE_ROWS, has_32_registers, tile_rows};
use super::vector::{PARTIAL_SUMS, fold};
use crate::kernels::dispatch::dispatch;

/// Number of values of `g` per pass over the taps, which fit into the first-level cache.
const VALUES_AT_ONCE: usize = 5120;

/// Neighbouring output positions at which every tap reads neighbouring input rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: usize,
    pub(crate) positions: usize,
}

/// `out[tap, row] = sum over positions and samples of input[position, tap] * g[row, position]`.
pub(crate) struct Dots<'a> {
    pub(crate) input: &'a [f32],
    /// Input row of each tap, `[positions, taps]`; only those of the first position of a run are
    /// read.
    pub(crate) input_rows: &'a [u32],
    pub(crate) taps: usize,
    /// Taps in the order of computation: neighbours read the same input.
    pub(crate) order: &'a [u32],
    /// All positions, in runs.
    pub(crate) runs: &'a [Run],
    /// `[rows, positions, lanes]`.
    pub(crate) g: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) positions: usize,
    pub(crate) lanes: usize,
    /// `[taps, rows]`.
    pub(crate) out: &'a mut [f32],
    /// Scratch.
    pub(crate) sums: &'a mut Vec<[f32; PARTIAL_SUMS]>,
}

// limit dots: avx2 0.32, scalar 18 instructions a multiply-add

/// Values summed by a tile: some positions.
#[derive(Clone, Copy)]
struct Piece {
    /// First position of its run.
    run: usize,
    /// Positions of the run before this piece.
    before: usize,
    values: usize,
}

/// Position of a tile: its first row and its first tap in order.
#[derive(Clone, Copy)]
struct Corner {
    tap: usize,
    row: usize,
}

impl Dots<'_> {
    /// Computes the sums.
    ///
    /// # Panics
    /// If an input row or a gradient is out of bounds.
    pub(crate) fn run(self) {
        self.sums.clear();
        self.sums.resize(self.out.len(), [0.0; PARTIAL_SUMS]);
        let Self { order, rows, .. } = self;
        let Self { out, sums, .. } = self.added();
        Self::fold(out, sums, order, rows);
    }

    /// Adds to the partial sums, which there must be one of per weight, and leaves `out`.
    ///
    /// # Panics
    /// If an input row or a gradient is out of bounds.
    pub(crate) fn add(self) {
        self.added();
    }

    fn added(mut self) -> Self {
        self.check();
        dispatch(DotsKernel { dots: &mut self });
        self
    }

    /// Writes the sums of partial sums.
    pub(crate) fn fold(out: &mut [f32], sums: &[[f32; PARTIAL_SUMS]], order: &[u32], rows: usize) {
        for (&tap, sums) in order.iter().zip(sums.chunks_exact(rows)) {
            let out = &mut out[tap as usize * rows..][..rows];
            for (out, &sums) in out.iter_mut().zip(sums) {
                *out = fold(sums);
            }
        }
    }

    /// Checks all bounds for the innermost loops.
    fn check(&self) {
        let Self { taps, lanes, .. } = *self;
        assert!(
            self.sums.len() == taps * self.rows,
            "each weight has its partial sums"
        );
        assert!(
            self.out.len() == taps * self.rows,
            "each weight has its sum"
        );
        assert!(self.order.len() == taps, "each tap has its turn");
        assert!(
            self.order.iter().all(|&tap| (tap as usize) < taps),
            "each turn is a tap's"
        );
        for run in self.runs {
            assert!(
                run.first + run.positions <= self.positions,
                "runs lie inside the output"
            );
            let g = (self.rows - 1) * self.positions + run.first + run.positions;
            assert!(
                g * lanes <= self.g.len(),
                "gradients lie inside their slice"
            );
            let rows = &self.input_rows[run.first * taps..][..taps];
            let last = rows.iter().max().map_or(0, |&row| row as usize) + run.positions;
            assert!(
                last * lanes <= self.input.len(),
                "inputs lie inside their slice"
            );
        }
    }

    /// Adds a piece to the partial sums of `T` taps and `R` rows.
    #[inline(always)]
    fn tile<S: Simd, const T: usize, const R: usize>(&mut self, simd: S, at: Corner, piece: Piece) {
        let Self { taps, lanes, .. } = *self;
        debug_assert!(at.tap + T <= taps && at.row + R <= self.rows);
        let mut x = [0; T];
        let mut g = [0; R];
        for t in 0..T {
            let tap = self.order[at.tap + t] as usize;
            let row = self.input_rows[piece.run * taps + tap] as usize;
            x[t] = (row + piece.before) * lanes;
        }
        for r in 0..R {
            g[r] = ((at.row + r) * self.positions + piece.run + piece.before) * lanes;
        }
        let parts = PARTIAL_SUMS / S::F32_LANES;
        let whole = piece.values / S::F32_LANES * S::F32_LANES;
        let first_sum = at.tap * self.rows + at.row;
        let all_sums = &mut self.sums[first_sum..first_sum + (T - 1) * self.rows + R];
        let own_sums = all_sums.as_mut_ptr().cast::<f32>();
        for part in 0..parts {
            let mut sums = [[simd.splat_f32s(0.0); R]; T];
            // SAFETY: partial sums `part` of rows `r` of taps `t` lie inside `all_sums`, which was cut to
            // end with the last of them, and nothing else refers to them. `vector` is one of the whole
            // vectors of a piece, which is some positions of a run; `check` has found what every tap reads
            // at those, and the gradients of all rows, inside their slices. Any bits are valid `S::f32s`.
            unsafe {
                let sum = |t: usize, r: usize| {
                    let place = (t * self.rows + r) * PARTIAL_SUMS + part * S::F32_LANES;
                    own_sums.add(place).cast::<S::f32s>()
                };
                let (input, g_rows) = (self.input.as_ptr(), self.g.as_ptr());
                for t in 0..T {
                    for r in 0..R {
                        sums[t][r] = sum(t, r).read_unaligned();
                    }
                }
                let mut own = [simd.splat_f32s(0.0); T];
                let mut from = part * S::F32_LANES;
                while from < whole {
                    for t in 0..T {
                        own[t] = input.add(x[t] + from).cast::<S::f32s>().read_unaligned();
                    }
                    for r in 0..R {
                        let g = g_rows.add(g[r] + from).cast::<S::f32s>().read_unaligned();
                        for t in 0..T {
                            sums[t][r] = simd.mul_add_f32s(own[t], g, sums[t][r]);
                        }
                    }
                    from += PARTIAL_SUMS;
                }
                for t in 0..T {
                    for r in 0..R {
                        sum(t, r).write_unaligned(sums[t][r]);
                    }
                }
            }
        }
        // What fills no vector belongs to the part whose turn it is. Partial loads may be calls: sums
        // that were kept over them would be stored in each turn of the loop above.
        if whole < piece.values {
            let part = whole / S::F32_LANES % parts;
            for t in 0..T {
                let x = simd.partial_load_f32s(&self.input[x[t] + whole..x[t] + piece.values]);
                for r in 0..R {
                    let g = simd.partial_load_f32s(&self.g[g[r] + whole..g[r] + piece.values]);
                    let sums = &mut self.sums[first_sum + t * self.rows + r];
                    let (sums, _) = S::as_mut_simd_f32s(sums);
                    sums[part] = simd.mul_add_f32s(x, g, sums[part]);
                }
            }
        }
    }

    /// Computes `R` rows from `row` on and all taps: tiles of `T`, then single ones.
    #[inline(always)]
    fn strip<S: Simd, const T: usize, const R: usize>(
        &mut self,
        simd: S,
        row: usize,
        piece: Piece,
    ) {
        let mut tap = 0;
        while tap + T <= self.taps {
            self.tile::<S, T, R>(simd, Corner { tap, row }, piece);
            tap += T;
        }
        while tap < self.taps {
            self.tile::<S, 1, R>(simd, Corner { tap, row }, piece);
            tap += 1;
        }
    }

    /// Computes all pieces of `R` rows from `row` on.
    #[inline(always)]
    fn rows<S: Simd, const T: usize, const R: usize>(&mut self, simd: S, row: usize) {
        let step = (VALUES_AT_ONCE / (R * self.lanes)).max(1);
        for run in self.runs {
            for first in (0..run.positions).step_by(step) {
                let positions = step.min(run.positions - first);
                let piece = Piece {
                    run: run.first,
                    before: first,
                    values: positions * self.lanes,
                };
                self.strip::<S, T, R>(simd, row, piece);
            }
        }
    }
}

/// The sums of some products.
struct DotsKernel<'a, 'b> {
    dots: &'a mut Dots<'b>,
}

impl WithSimd for DotsKernel<'_, '_> {
    type Output = ();

    /// Sums fill the registers, except those for inputs and a gradient.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let dots = self.dots;
        let mut row = 0;
        while row < dots.rows {
            let rows = tile_rows(dots.rows - row);
            if has_32_registers::<S>() {
                match rows {
                    1 => dots.rows::<S, 8, 1>(simd, row),
                    2 => dots.rows::<S, 8, 2>(simd, row),
                    3 => dots.rows::<S, 6, 3>(simd, row),
                    4 => dots.rows::<S, 5, 4>(simd, row),
                    5 => dots.rows::<S, 5, 5>(simd, row),
                    _ => dots.rows::<S, 4, TILE_ROWS>(simd, row),
                }
            } else {
                match rows {
                    1 => dots.rows::<S, 8, 1>(simd, row),
                    2 => dots.rows::<S, 5, 2>(simd, row),
                    3 => dots.rows::<S, 3, 3>(simd, row),
                    4 => dots.rows::<S, 3, 4>(simd, row),
                    5 => dots.rows::<S, 2, 5>(simd, row),
                    _ => dots.rows::<S, 2, TILE_ROWS>(simd, row),
                }
            }
            row += rows;
        }
    }
}

/// Divides positions into runs; `input_rows`: `[positions, taps]`.
pub(crate) fn runs(input_rows: &[u32], taps: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut before: Option<&[u32]> = None;
    for (position, rows) in input_rows.chunks_exact(taps).enumerate() {
        let goes_on = before.is_some_and(|before| {
            before
                .iter()
                .zip(rows)
                .all(|(before, row)| before + 1 == *row)
        });
        match runs.last_mut() {
            Some(run) if goes_on => run.positions += 1,
            _ => runs.push(Run {
                first: position,
                positions: 1,
            }),
        }
        before = Some(rows);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    #[test]
    fn dots_agree_with_sums_in_f64_and_are_the_same_bits_on_every_width() {
        for (rows, taps, positions, lanes, neighbours) in [
            (1, 1, 1, 16, 1),
            (6, 5, 3, 104, 3),
            (7, 9, 4, 32, 2),
            (5, 25, 700, 24, 20),
            (4, 2, 5, 40, 5),
            (2, 11, 6, 8, 1),
            (3, 7, 9, 104, 9),
        ] {
            let input = test_values(1, 100 * lanes);
            let g = test_values(2, rows * positions * lanes);
            let place = |at: usize| {
                let (position, tap) = (at / taps, at % taps);
                let row = position / neighbours * 7 + tap * 11;
                u32::try_from(row % (100 - neighbours) + position % neighbours).unwrap()
            };
            let input_rows: Vec<u32> = (0..positions * taps).map(place).collect();
            let runs = runs(&input_rows, taps);
            assert_eq!(
                runs.iter().map(|run| run.positions).sum::<usize>(),
                positions
            );
            let order: Vec<u32> = (0..u32::try_from(taps).unwrap()).rev().collect();
            let out = same_bits(|| {
                let mut out = vec![0.0; taps * rows];
                Dots {
                    input: &input,
                    input_rows: &input_rows,
                    taps,
                    order: &order,
                    runs: &runs,
                    g: &g,
                    rows,
                    positions,
                    lanes,
                    out: &mut out,
                    sums: &mut Vec::new(),
                }
                .run();
                out
            });
            for tap in 0..taps {
                for row in 0..rows {
                    let (mut sum, mut size) = (0.0, 0.0);
                    for position in 0..positions {
                        let x = input_rows[position * taps + tap] as usize * lanes;
                        let g = &g[(row * positions + position) * lanes..][..lanes];
                        for (x, g) in input[x..][..lanes].iter().zip(g) {
                            let term = f64::from(*x) * f64::from(*g);
                            (sum, size) = (sum + term, size + term.abs());
                        }
                    }
                    let found = f64::from(out[tap * rows + row]);
                    assert!(
                        (found - sum).abs() <= 1e-6 * size,
                        "{rows} {taps}: {found} {sum}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_run_is_as_long_as_every_tap_moves_on_by_one() {
        // two taps; the second one falls into the padding at the third position
        let input_rows = [0, 3, 1, 4, 2, 99, 3, 5, 4, 6];
        let found = runs(&input_rows, 2);
        let expected = [(0, 2), (2, 1), (3, 2)];
        assert_eq!(
            found,
            expected.map(|(first, positions)| Run { first, positions })
        );
    }
}
