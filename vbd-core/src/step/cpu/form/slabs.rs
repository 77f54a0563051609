//! Products of a convolution whose inputs are gathered into slabs first.
//!
//! Where the values of a channel are a multiple of 4 KB long, the taps of all channels fall into the
//! same few sets of the first-level cache and drive each other out. A slab holds the inputs of some
//! neighbouring positions of one output row, with the zeros of the padding: all rows of the weight are
//! computed from it. Neighbouring positions share its columns where the stride is 1. Output rows share
//! its lines: the next one overwrites those that it does not read.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;
use vbd_net::graph::Window;

use super::pieces::{cut_rows, per_piece, per_piece_in_common};
use crate::kernels::dots::{Dots, Run};
use crate::kernels::product::{Product, Taps};
use crate::kernels::vector::PARTIAL_SUMS;
use crate::step::cpu::geometry::{TapGeometry, narrow};

/// A channel of a multiple of this many positions is a multiple of 4 KB long, with 16 lanes or more.
const SAME_SETS: usize = 64;
/// Values of a slab: half of a second-level cache of 1 MiB, beside what is computed from it. Smaller slabs
/// have fewer positions, which share fewer columns.
const SLAB_VALUES: usize = 128 * 1024;
/// Values of a row of outputs that are computed from a slab: with their gradients in the first-level cache.
const ROW_VALUES: usize = 2048;

/// Returns whether the inputs of a convolution are gathered.
pub(super) fn suit(geometry: &TapGeometry) -> bool {
    geometry.groups == 1 && geometry.input_area.is_multiple_of(SAME_SETS)
}

/// The window that input gradients are a convolution by, of the outputs' gradients, with the kernel
/// turned by half a turn; only for a stride of 1.
pub(super) fn backward(window: &Window) -> Option<Window> {
    let Window {
        kernel,
        before,
        input,
        output,
        stride,
        ..
    } = *window;
    let side = |side: usize| {
        let before = (kernel[side] - 1).checked_sub(before[side])?;
        let after = (input[side] + kernel[side] - 1).checked_sub(output[side] + before)?;
        Some([before, after])
    };
    let ([top, bottom], [left, right]) = (side(0)?, side(1)?);
    (stride == [1, 1]).then_some(Window {
        kernel,
        stride,
        before: [top, left],
        after: [bottom, right],
        input: output,
        output: input,
    })
}

/// A convolution over slabs: `units` input channels, each `[rows, columns, lanes]` of the window's
/// input.
#[derive(Clone, Copy)]
pub(super) struct Slabs {
    pub(super) window: Window,
    pub(super) units: usize,
    pub(super) lanes: usize,
}

/// A way in which a slab may be filled.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Filling {
    /// Positions of the segment.
    positions: usize,
    /// Lines of the slab before the first one that the output row reads. Line `n` of the padded image is
    /// in the slab's line `n % kernel rows`.
    turn: usize,
}

/// Something for each way in which a slab may be filled.
struct EachFilling<T>(Vec<(Filling, T)>);

impl<T> EachFilling<T> {
    fn of(&self, filling: Filling) -> &T {
        let found = self.0.iter().find(|(of, _)| *of == filling);
        &found
            .expect("a segment is whole or the last of its row, at one of the turns")
            .1
    }
}

/// Neighbouring positions of one output row.
struct Segment {
    row: usize,
    columns: Range<usize>,
    /// Lines of the padded image that are not in the slab yet.
    lines: Range<usize>,
}

impl Slabs {
    /// Returns the columns of a slab for `positions`.
    fn columns(&self, positions: usize) -> usize {
        let columns = self.window.kernel[1];
        if self.window.stride[1] == 1 {
            positions + columns - 1
        } else {
            positions * columns
        }
    }

    /// Returns the turn of a slab at an output row.
    fn turn(&self, row: usize) -> usize {
        row * self.window.stride[0] % self.window.kernel[0]
    }

    fn filling(&self, segment: &Segment) -> Filling {
        Filling {
            positions: segment.columns.len(),
            turn: self.turn(segment.row),
        }
    }

    /// Returns the slab's row of a tap at the first position, in units of lanes. The rows of the
    /// next positions follow.
    fn row_of(&self, tap: usize, Filling { positions, turn }: Filling) -> usize {
        let [rows, columns] = self.window.kernel;
        let (place, unit) = (tap / self.units, tap % self.units);
        let (dy, dx) = (place / columns, place % columns);
        let step = if self.window.stride[1] == 1 {
            1
        } else {
            positions
        };
        (unit * rows + (turn + dy) % rows) * self.columns(positions) + dx * step
    }

    /// Returns the number of positions of a segment: one slab's, in parts of equal size.
    fn positions_at_once(&self) -> usize {
        let (width, per_column) = (
            self.window.output[1],
            self.units * self.window.kernel[0] * self.lanes,
        );
        let columns = (SLAB_VALUES / per_column).max(self.columns(2));
        let in_a_row = (ROW_VALUES / self.lanes).clamp(1, width);
        let fits = (1..=in_a_row)
            .rev()
            .find(|&at_once| self.columns(at_once) <= columns);
        let parts = width.div_ceil(fits.unwrap_or(1));
        width.div_ceil(parts)
    }

    fn slab_len(&self) -> usize {
        self.units * self.window.kernel[0] * self.columns(self.positions_at_once()) * self.lanes
    }

    /// Returns the output rows of each piece.
    fn pieces(&self, per_piece: usize) -> Vec<Range<usize>> {
        let rows = self.window.output[0];
        let firsts = (0..rows).step_by(per_piece);
        firsts
            .map(|first| first..rows.min(first + per_piece))
            .collect()
    }

    /// Returns the segments of some output rows, one below the other first.
    fn segments(&self, rows: Range<usize>) -> impl Iterator<Item = Segment> + use<> {
        let (width, at_once) = (self.window.output[1], self.positions_at_once());
        let (step, kernel) = (self.window.stride[0], self.window.kernel[0]);
        let firsts = (0..width).step_by(at_once);
        firsts.flat_map(move |first| {
            let mut filled = 0;
            rows.clone().map(move |row| {
                let end = row * step + kernel;
                let lines = filled.max(row * step)..end;
                filled = end;
                Segment {
                    row,
                    columns: first..width.min(first + at_once),
                    lines,
                }
            })
        })
    }

    /// Copies the inputs of a segment that the slab has not got from the segment above it.
    fn gather(&self, slab: &mut [f32], input: &[f32], segment: &Segment) {
        let Window {
            kernel,
            stride,
            before,
            input: [height, width],
            ..
        } = self.window;
        let (lanes, positions) = (self.lanes, segment.columns.len());
        let (unit_len, line_len) = (height * width * lanes, self.columns(positions) * lanes);
        let units = slab.chunks_exact_mut(kernel[0] * line_len);
        for (unit, slab) in input.chunks(unit_len).take(self.units).zip(units) {
            for row in segment.lines.clone() {
                let line = &mut slab[row % kernel[0] * line_len..][..line_len];
                let Some(row) = row.checked_sub(before[0]).filter(|&row| row < height) else {
                    line.fill(0.0);
                    continue;
                };
                let inputs = &unit[row * width * lanes..][..width * lanes];
                if stride[1] == 1 {
                    let copied = Copied {
                        first: segment.columns.start,
                        before: before[1],
                        stride: 1,
                    };
                    copied.neighbours(line, inputs, lanes);
                } else {
                    for (dx, line) in line.chunks_exact_mut(positions * lanes).enumerate() {
                        let copied = Copied {
                            first: segment.columns.start * stride[1] + dx,
                            before: before[1],
                            stride: stride[1],
                        };
                        copied.strided(line, inputs, lanes);
                    }
                }
            }
        }
    }

    /// Computes `out = sum over places and units of weight[place, unit, row] * input`.
    ///
    /// # Shapes
    /// - `weight`: `[places, units, rows]`; `out`: `[rows, positions, lanes]`
    pub(super) fn product(&self, weight: &[f32], rows: usize, input: &[f32], out: &mut [f32]) {
        let (lanes, width) = (self.lanes, self.window.output[1]);
        let ranges = self.pieces(per_piece_in_common(self.window.output[0]));
        let row_len = self.window.positions() * lanes;
        let mut pieces = cut_rows(out, row_len, ranges[0].len() * width * lanes);
        let at_once = self.positions_at_once();
        let places = self.each_filling(|filling| self.places(filling, rows));
        let scratch = || {
            (
                vec![0.0; self.slab_len()],
                vec![0.0; rows * at_once * lanes],
            )
        };
        let pieces = pieces.par_iter_mut().zip(&ranges);
        pieces.for_each_init(scratch, |(slab, sums), (out, range)| {
            for segment in self.segments(range.clone()) {
                let positions = segment.columns.len();
                self.gather(slab, input, &segment);
                let columns = positions * lanes;
                Product {
                    weight,
                    input: slab,
                    taps: Taps {
                        starts: &[],
                        row_step: 1,
                        ..Taps::matrix(0, lanes)
                    },
                    rows,
                    columns,
                    out: sums,
                    out_step: columns,
                    accumulate: false,
                }
                .run_over(places.of(self.filling(&segment)));
                let first = (segment.row - range.start) * width + segment.columns.start;
                for (out, sums) in out.iter_mut().zip(sums.chunks_exact(columns)) {
                    out[first * lanes..][..columns].copy_from_slice(sums);
                }
            }
        });
    }

    /// Returns the taps, `place * units + unit`, unit by unit.
    fn taps(&self) -> impl Iterator<Item = usize> + use<> {
        let (units, area) = (self.units, self.window.area());
        (0..units).flat_map(move |unit| (0..area).map(move |place| place * units + unit))
    }

    /// Returns weight and slab value of each tap, unit by unit.
    fn places(&self, filling: Filling, rows: usize) -> Vec<[usize; 2]> {
        let place = |tap| [tap * rows, self.row_of(tap, filling) * self.lanes];
        self.taps().map(place).collect()
    }

    /// Works out something for each way in which a slab may be filled.
    fn each_filling<T>(&self, of: impl Fn(Filling) -> T) -> EachFilling<T> {
        let (width, at_once) = (self.window.output[1], self.positions_at_once());
        let mut lengths = vec![at_once, width - (width - 1) / at_once * at_once];
        lengths.dedup();
        let rows = 0..self.window.kernel[0].min(self.window.output[0]);
        let turns: BTreeSet<usize> = rows.map(|row| self.turn(row)).collect();
        let each = lengths
            .into_iter()
            .flat_map(|positions| turns.iter().map(move |&turn| Filling { positions, turn }));
        EachFilling(each.map(|filling| (filling, of(filling))).collect())
    }

    /// Returns `sum over positions and lanes of input * g`, `[places, units, rows]`.
    ///
    /// # Shapes
    /// - `g`: `[rows, positions, lanes]`
    pub(super) fn weight_gradient(&self, input: &[f32], g: &[f32], rows: usize) -> Vec<f32> {
        let (lanes, width, taps) = (
            self.lanes,
            self.window.output[1],
            self.window.area() * self.units,
        );
        let order: Vec<u32> = self.taps().map(narrow).collect();
        let tables = self.each_filling(|filling| -> Vec<u32> {
            let row = |tap| narrow(self.row_of(tap, filling));
            (0..taps).map(row).collect()
        });
        let scratch = || (vec![0.0; self.slab_len()], Vec::new());
        let pieces = self
            .pieces(per_piece(self.window.output[0]))
            .into_par_iter()
            .map_init(scratch, |(slab, sums), range| {
                sums.clear();
                sums.resize(taps * rows, [0.0; PARTIAL_SUMS]);
                let mut out = vec![0.0; taps * rows];
                for segment in self.segments(range) {
                    let positions = segment.columns.len();
                    self.gather(slab, input, &segment);
                    let first = segment.row * width + segment.columns.start;
                    Dots {
                        input: slab,
                        input_rows: tables.of(self.filling(&segment)),
                        taps,
                        order: &order,
                        runs: &[Run {
                            first: 0,
                            positions,
                        }],
                        g: &g[first * lanes..],
                        rows,
                        positions: self.window.positions(),
                        lanes,
                        out: &mut out,
                        sums,
                    }
                    .add();
                }
                Dots::fold(&mut out, sums, &order, rows);
                out
            });
        let pieces: Vec<Vec<f32>> = pieces.collect();
        let mut all = vec![0.0; taps * rows];
        // In the order of pieces, for any number of threads.
        for piece in pieces {
            all.iter_mut()
                .zip(piece)
                .for_each(|(sum, part)| *sum += part);
        }
        all
    }
}

/// Columns of an image's row that are copied, counted from the padding on.
struct Copied {
    first: usize,
    before: usize,
    stride: usize,
}

impl Copied {
    /// Copies neighbouring columns, zeros outside.
    fn neighbours(&self, line: &mut [f32], inputs: &[f32], lanes: usize) {
        let (columns, width) = (line.len() / lanes, inputs.len() / lanes);
        let outside = self.before.saturating_sub(self.first).min(columns);
        let from = (self.first + outside)
            .saturating_sub(self.before)
            .min(width);
        let inside = (columns - outside).min(width - from);
        let (left, rest) = line.split_at_mut(outside * lanes);
        let (middle, right) = rest.split_at_mut(inside * lanes);
        left.fill(0.0);
        middle.copy_from_slice(&inputs[from * lanes..][..inside * lanes]);
        right.fill(0.0);
    }

    /// Copies columns `stride` apart, zeros outside.
    fn strided(&self, line: &mut [f32], inputs: &[f32], lanes: usize) {
        for (at, line) in line.chunks_exact_mut(lanes).enumerate() {
            let column = (self.first + at * self.stride).checked_sub(self.before);
            match column.and_then(|column| inputs.get(column * lanes..(column + 1) * lanes)) {
                Some(inputs) => line.copy_from_slice(inputs),
                None => line.fill(0.0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    const LANES: usize = 24;
    const UNITS: usize = 3;
    const ROWS: usize = 7;

    fn windows() -> impl Iterator<Item = Window> {
        // kernel, stride, padding before and after, image
        let all = [
            ([3, 3], [1, 1], [1, 1], [1, 1], [8, 8]),
            ([3, 3], [2, 2], [0, 0], [1, 1], [8, 8]),
            ([1, 1], [2, 2], [0, 0], [0, 0], [8, 8]),
            ([1, 1], [1, 1], [0, 0], [0, 0], [3, 40]),
            ([2, 3], [1, 2], [0, 1], [1, 0], [5, 7]),
            ([4, 5], [1, 1], [2, 4], [0, 3], [3, 30]),
            ([3, 2], [3, 1], [0, 0], [0, 0], [9, 2]),
        ];
        all.into_iter()
            .map(|(kernel, stride, before, after, input)| {
                let output = [0, 1].map(|side| {
                    (input[side] + before[side] + after[side] - kernel[side]) / stride[side] + 1
                });
                Window {
                    kernel,
                    stride,
                    before,
                    after,
                    input,
                    output,
                }
            })
    }

    /// Calls `f` with place, unit, input and output of each product of a weight of one row.
    fn visit(window: &Window, mut f: impl FnMut([usize; 2], usize, usize)) {
        let area = window.input[0] * window.input[1];
        for position in 0..window.positions() {
            for place in 0..window.area() {
                let Some(at) = window.input_at(position, place) else {
                    continue;
                };
                for (unit, lane) in (0..UNITS).flat_map(|unit| (0..LANES).map(move |l| (unit, l))) {
                    let input = (unit * area + at) * LANES + lane;
                    f([place, unit], input, position * LANES + lane);
                }
            }
        }
    }

    #[test]
    fn products_and_gradients_are_those_in_f64() {
        for window in windows() {
            let slabs = Slabs {
                window,
                units: UNITS,
                lanes: LANES,
            };
            let (positions, taps) = (window.positions(), window.area() * UNITS);
            let x = test_values(1, UNITS * window.input[0] * window.input[1] * LANES);
            let weight = test_values(2, taps * ROWS);
            let g = test_values(3, ROWS * positions * LANES);
            let (y, gradient) = same_bits(|| {
                let mut y = vec![0.0; ROWS * positions * LANES];
                slabs.product(&weight, ROWS, &x, &mut y);
                (y, slabs.weight_gradient(&x, &g, ROWS))
            });
            let mut sums = vec![0.0; y.len()];
            let mut by_weight = vec![0.0; weight.len()];
            visit(&window, |[place, unit], input, output| {
                for row in 0..ROWS {
                    let (of_weight, of_output) = (
                        (place * UNITS + unit) * ROWS + row,
                        row * positions * LANES + output,
                    );
                    sums[of_output] += f64::from(weight[of_weight]) * f64::from(x[input]);
                    by_weight[of_weight] += f64::from(g[of_output]) * f64::from(x[input]);
                }
            });
            for (found, expected) in y.iter().zip(sums) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{window:?}");
            }
            for (found, expected) in gradient.iter().zip(by_weight) {
                let close = (f64::from(*found) - expected).abs() < 1e-4;
                assert!(close, "{window:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn input_gradients_are_a_product_with_the_kernel_turned() {
        for window in windows().filter(|window| window.stride == [1, 1]) {
            let turned = backward(&window).unwrap();
            let input_len = window.input[0] * window.input[1] * LANES;
            let g = test_values(3, window.positions() * LANES);
            let weight = test_values(2, window.area());
            let slabs = Slabs {
                window: turned,
                units: 1,
                lanes: LANES,
            };
            let turned: Vec<f32> = weight.iter().rev().copied().collect();
            let mut g_x = vec![0.0; input_len];
            slabs.product(&turned, 1, &g, &mut g_x);
            let mut expected = vec![0.0; input_len];
            visit(&window, |[place, unit], input, output| {
                if unit == 0 {
                    expected[input] += f64::from(weight[place]) * f64::from(g[output]);
                }
            });
            for (found, expected) in g_x.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{window:?}");
            }
        }
    }
}
