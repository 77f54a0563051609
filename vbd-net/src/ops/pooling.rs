//! Pooling in the sparse runtime: windows over images, each value joined with those before it row by
//! row, so that one sample and many give the same bits.

use std::ops::Range;

use pulp::Arch;

use super::{Inputs, Places};
use crate::graph::Window;
use crate::runtime::kernels::LANES;

/// Number of units that are pooled together where each row has one output, so that their operations
/// overlap.
const UNITS: usize = 8;

/// How a window's values become one.
#[derive(Clone, Copy)]
pub(super) struct Pooling<J, F> {
    /// Value of a window of nothing.
    pub(super) start: f32,
    /// Joins a value with those before it.
    pub(super) join: J,
    pub(super) finish: F,
}

impl<J: Fn(f32, f32) -> f32 + Copy, F: Fn(f32) -> f32 + Copy> Pooling<J, F> {
    /// Pools `lanes` samples, one or a multiple of [`LANES`]. Inlined, `join` and `finish` are
    /// compiled for the instruction set.
    pub(super) fn run(
        self,
        arch: Arch,
        inputs: Inputs<'_>,
        y: &mut [f32],
        at: &Places,
        lanes: usize,
    ) {
        let window = at.window.expect("a pool has a window");
        let pool = Pool {
            rule: self,
            x: inputs.get(0),
            y,
            at,
            window,
        };
        arch.dispatch(
            #[inline(always)]
            || match (lanes, window.output[1], window.stride[1]) {
                (1, 1, _) => pool.columns(),
                (1, _, 1) => pool.rows::<1>(),
                (1, _, 2) => pool.rows::<2>(),
                (1, ..) => pool.rows::<0>(),
                _ => pool.lanes(lanes),
            },
        );
    }
}

struct Pool<'a, J, F> {
    rule: Pooling<J, F>,
    x: &'a [f32],
    y: &'a mut [f32],
    at: &'a Places,
    window: Window,
}

/// Returns the rows or columns of the image in the window at a position.
#[inline(always)]
fn inside(window: &Window, side: usize, position: usize) -> Range<usize> {
    let first = position * window.stride[side];
    let end = first + window.kernel[side];
    let end = end.saturating_sub(window.before[side]);
    first.saturating_sub(window.before[side])..end.min(window.input[side])
}

impl<J: Fn(f32, f32) -> f32 + Copy, F: Fn(f32) -> f32 + Copy> Pool<'_, J, F> {
    /// Many samples: a window's values are joined in registers.
    #[inline(always)]
    fn lanes(self, lanes: usize) {
        let Self {
            rule,
            x,
            y,
            at,
            window,
        } = self;
        let x = x.as_chunks::<LANES>().0;
        let y = y.as_chunks_mut::<LANES>().0;
        let strips = lanes / LANES;
        for (unit, row) in at.rows() {
            let rows = inside(&window, 0, row);
            for col in 0..at.output.width {
                let cols = inside(&window, 1, col);
                let to = (at.to.row(unit, row) + col) * strips;
                for strip in 0..strips {
                    let mut joined = [rule.start; LANES];
                    for row in rows.clone() {
                        let first = at.from[0].row(unit, row) * strips + strip;
                        for col in cols.clone() {
                            let x = &x[first + col * strips];
                            for (joined, &x) in joined.iter_mut().zip(x) {
                                *joined = (rule.join)(*joined, x);
                            }
                        }
                    }
                    y[to + strip] = joined.map(rule.finish);
                }
            }
        }
    }

    /// One sample: a row of outputs for each place of the window. A `STRIDE` of 0 is any.
    #[inline(always)]
    fn rows<const STRIDE: usize>(self) {
        let Self {
            rule,
            x,
            y,
            at,
            window,
        } = self;
        let stride = if STRIDE == 0 {
            window.stride[1]
        } else {
            STRIDE
        };
        let (width, before, size) = (at.output.width, window.before[1], window.input[1]);
        // Places that no window has inside the image are left out.
        let first = before.saturating_sub((width - 1) * stride);
        let places = first..window.kernel[1].min(before + size);
        for (unit, row) in at.rows() {
            let y = &mut y[at.to.row(unit, row)..][..width];
            y.fill(rule.start);
            for row in inside(&window, 0, row) {
                let x = &x[at.from[0].row(unit, row)..][..size];
                for place in places.clone() {
                    let first = before.saturating_sub(place).div_ceil(stride);
                    let end = (size + before - place).div_ceil(stride).min(width);
                    let x = &x[(first * stride + place - before).min(size)..];
                    let y = y.get_mut(first..end).unwrap_or_default();
                    for (y, &x) in y.iter_mut().zip(x.iter().step_by(stride)) {
                        *y = (rule.join)(*y, x);
                    }
                }
            }
            for y in y {
                *y = (rule.finish)(*y);
            }
        }
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
        } = self;
        let cols = inside(&window, 1, 0);
        let units = at.output.units;
        for first in (0..units).step_by(UNITS) {
            let units = first..units.min(first + UNITS);
            for row in 0..at.output.height {
                let mut joined = [rule.start; UNITS];
                for row in inside(&window, 0, row) {
                    // A missing unit repeats the last one.
                    let rows: [&[f32]; UNITS] = std::array::from_fn(|unit| {
                        let unit = (first + unit).min(units.end - 1);
                        &x[at.from[0].row(unit, row)..][cols.clone()]
                    });
                    for col in 0..cols.len() {
                        for (joined, row) in joined.iter_mut().zip(rows) {
                            *joined = (rule.join)(*joined, row[col]);
                        }
                    }
                }
                for (unit, joined) in units.clone().zip(joined) {
                    y[at.to.row(unit, row)] = (rule.finish)(joined);
                }
            }
        }
    }
}
