//! Dense products with a gathered operand, for linear layers, convolutions and their gradients,
//! without a column buffer.
//!
//! Activations are `[features, lanes]`, so the inputs of a convolution's tap are a row of samples,
//! and over neighbouring output positions one long row. A product is summed in a register tile:
//! some rows of the weight times some vectors of the input. Each output is one chain of fused
//! multiply-adds in the order of taps, which gives the same bits on every instruction set.
#![expect(
    unsafe_code,
    reason = "the innermost loops read through pointers; `Product::run` checks all bounds before"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "registers of a tile are indexed alike"
)]

use pulp::{Simd, WithSimd};

use crate::kernels::dispatch::dispatch;

/// Number of rows in the largest tile.
pub(crate) const TILE_ROWS: usize = 6;
/// Number of taps whose inputs stay in the first-level cache while the rows are traversed.
const TAPS_AT_ONCE: usize = 256;

/// Positions of runs of taps: `len` taps from each start, one step apart.
#[derive(Clone, Copy)]
pub(crate) struct Taps<'a> {
    /// First weight of each run, in units of `weight_unit`, and its first input, in units of
    /// `input_unit`.
    pub(crate) starts: &'a [(u32, u32)],
    pub(crate) weight_unit: usize,
    pub(crate) input_unit: usize,
    /// Number of taps per run.
    pub(crate) len: usize,
    /// Distance between the weights of consecutive taps.
    pub(crate) weight_step: usize,
    /// Distance between the inputs of consecutive taps.
    pub(crate) input_step: usize,
    /// Distance between the weights of the same tap in consecutive rows.
    pub(crate) row_step: usize,
}

impl Taps<'_> {
    /// Creates the taps of a row-major matrix `[rows, len]`, with input rows `input_step` apart.
    pub(crate) fn matrix(len: usize, input_step: usize) -> Self {
        Self {
            starts: &[(0, 0)],
            weight_unit: 0,
            input_unit: 0,
            len,
            weight_step: 1,
            input_step,
            row_step: len,
        }
    }
}

/// `out[row][column] = sum over taps of weight[row, tap] * input[tap][column]`.
pub(crate) struct Product<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) input: &'a [f32],
    pub(crate) taps: Taps<'a>,
    pub(crate) rows: usize,
    /// Values per row of the output, and per tap's input.
    pub(crate) columns: usize,
    pub(crate) out: &'a mut [f32],
    /// Distance between rows of `out`.
    pub(crate) out_step: usize,
    /// Whether to add to `out` instead of overwriting it.
    pub(crate) accumulate: bool,
}

// limit product: avx2 0.34, scalar 18 instructions a multiply-add
// limit conv_product: avx2 0.32, scalar 18 instructions a multiply-add

/// Some taps of a product.
struct ProductKernel<'a> {
    product: Product<'a>,
    /// Weight of each tap in row 0, and its first input value.
    taps: &'a [[usize; 2]],
}

impl Product<'_> {
    /// Computes the product.
    ///
    /// # Panics
    /// If a tap or an output is out of bounds.
    pub(crate) fn run(self) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        self.check();
        let taps = self.places();
        self.over(&taps);
    }

    /// Computes the product of taps at these places: [`Product::places`], for several products.
    ///
    /// # Panics
    /// If a tap or an output is out of bounds.
    pub(crate) fn run_over(self, taps: &[[usize; 2]]) {
        self.check();
        let weights = (self.rows - 1) * self.taps.row_step;
        let (weight, input) = (self.weight.len(), self.input.len());
        let inside =
            |&[first, at]: &[usize; 2]| first + weights < weight && at + self.columns <= input;
        assert!(taps.iter().all(inside), "taps lie inside their slices");
        self.over(taps);
    }

    fn over(mut self, taps: &[[usize; 2]]) {
        if taps.is_empty() {
            if !self.accumulate {
                for row in 0..self.rows {
                    self.out[row * self.out_step..][..self.columns].fill(0.0);
                }
            }
            return;
        }
        let pieces = (taps.len() + TAPS_AT_ONCE / 2) / TAPS_AT_ONCE;
        let piece = taps.len().div_ceil(pieces.max(1)).max(1);
        for taps in taps.chunks(piece) {
            let product = Product {
                out: &mut *self.out,
                ..self
            };
            dispatch(ProductKernel { product, taps });
            self.accumulate = true;
        }
    }

    /// Returns the position of each tap. Starts are in the inner loop, because neighbouring starts
    /// read close inputs, unlike neighbouring taps of a run.
    fn places(&self) -> Vec<[usize; 2]> {
        let taps = self.taps;
        let mut places = Vec::with_capacity(taps.len * taps.starts.len());
        for tap in 0..taps.len {
            places.extend(taps.starts.iter().map(|&(weight, input)| {
                [
                    weight as usize * taps.weight_unit + tap * taps.weight_step,
                    input as usize * taps.input_unit + tap * taps.input_step,
                ]
            }));
        }
        places
    }

    /// Checks all bounds for the innermost loops.
    fn check(&self) {
        let taps = self.taps;
        let last = |len: usize, step: usize| (len - 1) * step;
        let out = last(self.rows, self.out_step) + self.columns;
        assert!(out <= self.out.len(), "outputs lie inside their slice");
        if taps.len == 0 {
            return;
        }
        let weights = last(self.rows, taps.row_step) + last(taps.len, taps.weight_step) + 1;
        let inputs = last(taps.len, taps.input_step) + self.columns;
        for &(weight, input) in taps.starts {
            let weights = weight as usize * taps.weight_unit + weights;
            let inputs = input as usize * taps.input_unit + inputs;
            assert!(
                weights <= self.weight.len(),
                "weights lie inside their slice"
            );
            assert!(inputs <= self.input.len(), "inputs lie inside their slice");
        }
    }
}

impl ProductKernel<'_> {
    /// Computes `R` rows from `row` on and `V` vectors from `column` on, except the first `skipped`
    /// columns.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        skipped: usize,
    ) {
        let Self { product, taps } = self;
        debug_assert!(row + R <= product.rows && column + V * S::F32_LANES <= product.columns);
        let row_step = product.taps.row_step;
        let mut rows = [0; R];
        for r in 0..R {
            rows[r] = r * row_step;
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let mut x = [simd.splat_f32s(0.0); V];
        if product.accumulate {
            for r in 0..R {
                let from = (row + r) * product.out_step + column;
                let (out, _) = S::as_simd_f32s(&product.out[from..from + V * S::F32_LANES]);
                sums[r].copy_from_slice(&out[..V]);
            }
        }
        // SAFETY: `Product::check` has found the last tap of the last row, and all columns that it reads,
        // inside their slices for each start; these taps, rows and columns are among them. `S::f32s` is
        // `F32_LANES` values of f32, and any bits are valid.
        unsafe {
            let weights = product.weight.as_ptr().add(row * row_step);
            let inputs = product.input.as_ptr().add(column);
            for &[weight, input] in *taps {
                let (weight, input) = (weights.add(weight), inputs.add(input));
                for v in 0..V {
                    let input = input.add(v * S::F32_LANES).cast::<S::f32s>();
                    x[v] = input.read_unaligned();
                }
                for r in 0..R {
                    let weight = simd.splat_f32s(*weight.add(rows[r]));
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_f32s(weight, x[v], sums[r][v]);
                    }
                }
            }
        }
        for r in 0..R {
            let from = (row + r) * product.out_step + column;
            let out = &mut product.out[from..from + V * S::F32_LANES];
            if skipped == 0 {
                let (out, _) = S::as_mut_simd_f32s(out);
                out[..V].copy_from_slice(&sums[r]);
            } else {
                let sums: &[f32] = bytemuck::cast_slice(&sums[r]);
                out[skipped..].copy_from_slice(&sums[skipped..]);
            }
        }
    }

    /// Computes less than a vector of one row, from `column` on.
    #[inline(always)]
    fn rest<S: Simd>(&mut self, simd: S, row: usize, column: usize) {
        let Self { product, taps } = self;
        let from = row * product.out_step;
        let out = &mut product.out[from + column..from + product.columns];
        let mut sum = if product.accumulate {
            simd.partial_load_f32s(out)
        } else {
            simd.splat_f32s(0.0)
        };
        for &[weight, input] in *taps {
            let weight = product.weight[weight + row * product.taps.row_step];
            let x = simd.partial_load_f32s(&product.input[input + column..][..out.len()]);
            sum = simd.mul_add_f32s(simd.splat_f32s(weight), x, sum);
        }
        simd.partial_store_f32s(out, sum);
    }

    /// Computes `R` rows from `row` on, with some tiles of `V` vectors from `column` on.
    #[inline(always)]
    fn tiles<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, row: usize, at: Strips) {
        for strip in 0..at.count {
            self.tile::<S, R, V>(simd, row, at.column + strip * V * S::F32_LANES, at.skipped);
        }
    }

    /// Computes all rows of some strips. The inputs of a strip stay in cache while the rows are
    /// traversed. Rows that fit one tile are computed over all strips at once.
    #[inline(always)]
    fn strips<S: Simd, const V: usize, const FEW: bool>(&mut self, simd: S, at: Strips) {
        let all = self.product.rows;
        let at_once = if all <= TILE_ROWS { at.count.max(1) } else { 1 };
        for strip in (0..at.count).step_by(at_once) {
            let at = Strips {
                column: at.column + strip * V * S::F32_LANES,
                count: at_once,
                ..at
            };
            let mut row = 0;
            while row < all {
                let rows = tile_rows(all - row);
                match (rows, FEW) {
                    (1, true) => self.tiles::<S, 1, V>(simd, row, at),
                    (_, true) => self.tiles::<S, 2, V>(simd, row, at),
                    (3, false) => self.tiles::<S, 3, V>(simd, row, at),
                    (4, false) => self.tiles::<S, 4, V>(simd, row, at),
                    (5, false) => self.tiles::<S, 5, V>(simd, row, at),
                    (_, false) => self.tiles::<S, TILE_ROWS, V>(simd, row, at),
                }
                row += rows;
            }
        }
    }

    /// Computes all columns: strips of `V` vectors, then narrower ones. `FEW`: one or two rows.
    #[inline(always)]
    fn columns<S: Simd, const V: usize, const FEW: bool>(&mut self, simd: S) {
        let (columns, lanes) = (self.product.columns, S::F32_LANES);
        let mut column = 0;
        let mut whole = |width: usize| {
            let at = Strips {
                column,
                count: (columns - column) / (width * lanes),
                skipped: 0,
            };
            column += at.count * width * lanes;
            at
        };
        let (wide, pairs, single) = (whole(V), whole(2.min(V)), whole(1));
        self.strips::<S, V, FEW>(simd, wide);
        if V > 2 {
            self.strips::<S, 2, FEW>(simd, pairs);
        }
        self.strips::<S, 1, FEW>(simd, single);
        if column == columns {
            return;
        }
        if columns >= lanes {
            // A whole vector, of whose columns some have been computed already.
            let last = Strips {
                column: columns - lanes,
                count: 1,
                skipped: lanes - (columns - column),
            };
            self.strips::<S, 1, FEW>(simd, last);
        } else {
            for row in 0..self.product.rows {
                self.rest(simd, row, column);
            }
        }
    }
}

/// Adjacent strips of columns.
#[derive(Clone, Copy)]
struct Strips {
    column: usize,
    count: usize,
    /// Columns to skip in each.
    skipped: usize,
}

/// Returns the rows of the next tile, so that the tiles of a weight have similar sizes.
pub(crate) fn tile_rows(left: usize) -> usize {
    left.div_ceil(left.div_ceil(TILE_ROWS))
}

/// Returns whether an instruction set has 32 registers instead of 16, derived from its vector
/// width.
pub(crate) const fn has_32_registers<S: Simd>() -> bool {
    matches!(S::F32_LANES, 4 | 16)
}

impl WithSimd for ProductKernel<'_> {
    type Output = ();

    /// Sums fill the registers, except those for input vectors and a weight.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match (self.product.rows, has_32_registers::<S>()) {
            (1 | 2, true) => self.columns::<S, 8, true>(simd),
            (_, true) => self.columns::<S, 4, false>(simd),
            (1 | 2, false) => self.columns::<S, 4, true>(simd),
            (_, false) => self.columns::<S, 2, false>(simd),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    /// Bounds-checked reference in f64.
    struct Twin<'a> {
        weight: &'a [f32],
        input: &'a [f32],
        taps: Taps<'a>,
        before: Option<&'a Vec<f32>>,
        out_step: usize,
    }

    impl Twin<'_> {
        /// Computes an output, and the sum of its terms' magnitudes.
        fn sum(&self, row: usize, column: usize) -> [f64; 2] {
            let taps = self.taps;
            let at = row * self.out_step + column;
            let before = self.before.map_or(0.0, |before| f64::from(before[at]));
            let mut sums = [before, before.abs()];
            for &(weight, input) in taps.starts {
                let weight = weight as usize * taps.weight_unit + row * taps.row_step;
                let input = input as usize * taps.input_unit + column;
                for tap in 0..taps.len {
                    let weight = self.weight[weight + tap * taps.weight_step];
                    let input = self.input[input + tap * taps.input_step];
                    let term = f64::from(weight) * f64::from(input);
                    sums = [sums[0] + term, sums[1] + term.abs()];
                }
            }
            sums
        }
    }

    #[derive(Debug, Clone, Copy)]
    struct Shape {
        rows: usize,
        len: usize,
        columns: usize,
        turned: bool,
        accumulate: bool,
    }

    fn check(shape: Shape) {
        let Shape {
            rows,
            len,
            columns,
            turned,
            accumulate,
        } = shape;
        let starts = [(0, 1), (2, 0), (1, 2)];
        let (weight_step, row_step) = if turned { (1, len + 1) } else { (rows + 1, 1) };
        let taps = Taps {
            starts: &starts,
            weight_unit: 3,
            input_unit: 5,
            len,
            weight_step,
            input_step: columns + 3,
            row_step,
        };
        let weight = test_values(1, 7 + rows * row_step + len * weight_step);
        let input = test_values(2, 11 + len * (columns + 3) + columns);
        let out_step = columns + 2;
        let before = test_values(3, rows * out_step);
        let run = |out: &mut [f32]| {
            Product {
                weight: &weight,
                input: &input,
                taps,
                rows,
                columns,
                out,
                out_step,
                accumulate,
            }
            .run();
        };
        let out = same_bits(|| {
            let mut out = before.clone();
            run(&mut out);
            out
        });
        let twin = Twin {
            weight: &weight,
            input: &input,
            taps,
            before: accumulate.then_some(&before),
            out_step,
        };
        for (at, &found) in out.iter().enumerate() {
            let (row, column) = (at / out_step, at % out_step);
            if column < columns {
                let [expected, size] = twin.sum(row, column);
                assert!(
                    (f64::from(found) - expected).abs() <= 1e-6 * size + 1e-30,
                    "{shape:?} [{row}][{column}]: {found} {expected}"
                );
            } else {
                assert_eq!(found.to_bits(), before[at].to_bits(), "{shape:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_agree_with_the_checked_twin_and_are_the_same_bits_on_every_width(
            (rows, len, columns) in (1_usize..15, 1_usize..20, 1_usize..140),
            (turned, accumulate) in any::<(bool, bool)>(),
        ) {
            check(Shape { rows, len, columns, turned, accumulate });
        }
    }

    #[test]
    fn more_taps_than_are_summed_at_once() {
        let (rows, columns) = (7, 24);
        for (len, accumulate) in [(TAPS_AT_ONCE + 1, false), (3 * TAPS_AT_ONCE, true)] {
            check(Shape {
                rows,
                len,
                columns,
                turned: true,
                accumulate,
            });
        }
    }

    #[test]
    fn a_product_of_no_taps_is_zero_or_what_was_there() {
        for (accumulate, expected) in [(false, 0.0), (true, 3.0)] {
            let mut out = [3.0; 10];
            Product {
                weight: &[],
                input: &[],
                taps: Taps {
                    starts: &[],
                    ..Taps::matrix(4, 8)
                },
                rows: 2,
                columns: 3,
                out: &mut out,
                out_step: 6,
                accumulate,
            }
            .run();
            let same = [expected; 3].map(f32::to_bits);
            assert_eq!([out[0], out[1], out[2]].map(f32::to_bits), same);
            assert_eq!([out[6], out[7], out[8]].map(f32::to_bits), same);
            assert_eq!(out[3].to_bits(), 3.0_f32.to_bits());
        }
    }

    #[test]
    #[should_panic(expected = "inputs lie inside their slice")]
    fn a_tap_outside_its_slice_is_refused() {
        Product {
            weight: &[1.0; 4],
            input: &[1.0; 15],
            taps: Taps::matrix(2, 8),
            rows: 2,
            columns: 8,
            out: &mut [0.0; 16],
            out_step: 8,
            accumulate: false,
        }
        .run();
    }
}
