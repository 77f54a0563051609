//! Pooling in the sparse runtime: windows over images, each value joined with those before it row by
//! row, so that one sample and many give the same bits.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::{Inputs, Places};
use crate::graph::Window;
use crate::runtime::kernels::LANES;

/// Number of units that are pooled together where each row has one output, so that their operations
/// overlap.
const UNITS: usize = 8;

/// How a window's values become one. Inlined, so that it is compiled for the instruction set.
pub(super) trait Pooling: Copy {
    /// Returns the value of a window of nothing.
    fn start(self) -> f32;

    /// Joins a value with those before it.
    fn join(self, joined: f32, x: f32) -> f32;

    /// Returns the output of a window.
    fn finish(self, joined: f32) -> f32;
}

/// Pools `lanes` samples, one or a multiple of [`LANES`].
pub(super) fn pool<R: Pooling>(
    rule: R,
    arch: Arch,
    inputs: Inputs<'_>,
    y: &mut [f32],
    at: &Places,
    lanes: usize,
) {
    arch.dispatch(Pool {
        rule,
        x: inputs.get(0),
        y,
        at,
        window: at.window.expect("a pool has a window"),
        lanes,
    });
}

struct Pool<'a, R> {
    rule: R,
    x: &'a [f32],
    y: &'a mut [f32],
    at: &'a Places,
    window: Window,
    lanes: usize,
}

impl<R: Pooling> WithSimd for Pool<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        if self.lanes > 1 {
            return self.lanes();
        }
        if self.window.output[1] == 1 {
            return self.columns();
        }
        match (self.window.stride[1], self.whole().len()) {
            (1, 8..) => self.blocks::<1, 8, 8>(),
            (1, 4..) => self.blocks::<1, 4, 4>(),
            (2, 8..) => self.blocks::<2, 8, 15>(),
            (2, 4..) => self.blocks::<2, 4, 7>(),
            _ => self.each(),
        }
    }
}

impl<R: Pooling> Pool<'_, R> {
    /// Many samples: a window's values are joined in registers.
    #[inline(always)]
    fn lanes(self) {
        let Self {
            rule,
            x,
            y,
            at,
            window,
            lanes,
        } = self;
        let x = x.as_chunks::<LANES>().0;
        let y = y.as_chunks_mut::<LANES>().0;
        let strips = lanes / LANES;
        for (unit, row) in at.output.rows() {
            let rows = window.inside(0, row);
            for col in 0..at.output.width {
                let cols = window.inside(1, col);
                let to = (at.to.row(unit, row) + col) * strips;
                for strip in 0..strips {
                    let mut joined = [rule.start(); LANES];
                    for row in rows.clone() {
                        let first = at.from[0].row(unit, row) * strips + strip;
                        for col in cols.clone() {
                            let x = &x[first + col * strips];
                            for (joined, &x) in joined.iter_mut().zip(x) {
                                *joined = rule.join(*joined, x);
                            }
                        }
                    }
                    for joined in &mut joined {
                        *joined = rule.finish(*joined);
                    }
                    y[to + strip] = joined;
                }
            }
        }
    }

    /// One sample, with the columns' stride as a constant: `N` neighbouring outputs at
    /// a time whose windows are inside the image, and the others one by one.
    #[inline(always)]
    fn blocks<const STRIDE: usize, const N: usize, const READ: usize>(self) {
        const { assert!(READ == (N - 1) * STRIDE + 1) };
        let window = self.window;
        let (before, kernel) = (window.before[1], window.kernel[1]);
        let (width, whole) = (self.at.output.width, self.whole());
        for (unit, row) in self.at.output.rows() {
            let rows = window.inside(0, row);
            let to = self.at.to.row(unit, row);
            let mut col = 0;
            while col < width {
                if !whole.contains(&col) || whole.len() < N {
                    self.y[to + col] = self.output(unit, rows.clone(), col);
                    col += 1;
                    continue;
                }
                // The last block is shifted back to fit.
                col = col.min(whole.end - N);
                let mut joined = [self.rule.start(); N];
                for row in rows.clone() {
                    let from = self.at.from[0].row(unit, row) + col * STRIDE - before;
                    for from in from..from + kernel {
                        // Of a known length, so that it is in registers.
                        let x: [f32; READ] = *self.x[from..].first_chunk().expect("inside");
                        for (at, joined) in joined.iter_mut().enumerate() {
                            *joined = self.rule.join(*joined, x[at * STRIDE]);
                        }
                    }
                }
                for joined in &mut joined {
                    *joined = self.rule.finish(*joined);
                }
                self.y[to + col..][..N].copy_from_slice(&joined);
                col += N;
            }
        }
    }

    /// Returns the columns of outputs whose windows are inside the image.
    #[inline(always)]
    fn whole(&self) -> Range<usize> {
        let Window {
            before,
            kernel,
            stride,
            input,
            output,
            ..
        } = self.window;
        let room = (input[1] + before[1]).checked_sub(kernel[1]);
        let end = room.map_or(0, |room| room / stride[1] + 1).min(output[1]);
        before[1].div_ceil(stride[1])..end
    }

    /// One sample, one output after another.
    #[inline(always)]
    fn each(self) {
        for (unit, row) in self.at.output.rows() {
            let rows = self.window.inside(0, row);
            for col in 0..self.at.output.width {
                let place = self.at.to.row(unit, row) + col;
                self.y[place] = self.output(unit, rows.clone(), col);
            }
        }
    }

    /// Returns an output of one sample.
    #[inline(always)]
    fn output(&self, unit: usize, rows: Range<usize>, col: usize) -> f32 {
        let cols = self.window.inside(1, col);
        let mut joined = self.rule.start();
        for row in rows {
            for &x in &self.x[self.at.from[0].row(unit, row)..][cols.clone()] {
                joined = self.rule.join(joined, x);
            }
        }
        self.rule.finish(joined)
    }

    /// One sample with one output per row.
    #[inline(always)]
    fn columns(self) {
        let Self {
            rule,
            x,
            y,
            at,
            window,
            ..
        } = self;
        let cols = window.inside(1, 0);
        let units = at.output.units;
        for first in (0..units).step_by(UNITS) {
            let units = first..units.min(first + UNITS);
            for row in 0..at.output.height {
                let mut joined = [rule.start(); UNITS];
                for row in window.inside(0, row) {
                    // A missing unit repeats the last one.
                    let rows: [&[f32]; UNITS] = std::array::from_fn(|unit| {
                        let unit = (first + unit).min(units.end - 1);
                        &x[at.from[0].row(unit, row)..][cols.clone()]
                    });
                    for col in 0..cols.len() {
                        for (joined, row) in joined.iter_mut().zip(rows) {
                            *joined = rule.join(*joined, row[col]);
                        }
                    }
                }
                for (unit, joined) in units.clone().zip(joined) {
                    y[at.to.row(unit, row)] = rule.finish(joined);
                }
            }
        }
    }
}
