//! Planes: contiguous copies of each tap's inputs at all positions.
#![expect(
    unsafe_code,
    reason = "bounds checks take longer than a copy of four values: one for all is made before"
)]

use std::ops::Range;

use super::ConvGeometry;
use crate::runtime::kernels::LANES;

/// Maximum number of plane values made at a time, unless a row of outputs needs more: 64 KB.
const CACHED_VALUES: usize = if cfg!(test) { 1 << 7 } else { 1 << 14 };

/// Maximum number of values read at a time.
pub(super) const SLACK: usize = 2 * LANES;

/// Sources and sizes of planes.
#[derive(Debug)]
pub(super) struct Planes {
    /// Start of each plane in the input at the first output, increasing.
    starts: Vec<u32>,
    /// Upper bound of the input positions that are read.
    reach: usize,
    /// Number of output rows per batch of planes.
    pub(super) rows: usize,
    /// Number of output rows, and outputs per row.
    height: usize,
    width: usize,
    /// Distance between the inputs of neighbouring outputs, and of outputs in adjacent rows.
    step: usize,
    row_step: usize,
}

impl Planes {
    /// Creates planes that start at these input positions, in any order and with repetitions.
    pub(crate) fn new(mut starts: Vec<u32>, geometry: &ConvGeometry) -> Self {
        starts.sort_unstable();
        starts.dedup();
        let ConvGeometry { output, .. } = *geometry;
        let [row_stride, stride] = geometry.stride;
        let step = stride * geometry.pool;
        // With a single row of outputs, the distance between rows is unused.
        let row_step = geometry.from.row_step();
        let row_step = row_step.saturating_mul(row_stride * geometry.pool);
        let last = (output.height - 1) * row_step + (output.width - 1) * step;
        let rows = CACHED_VALUES / (starts.len() * output.width).max(1);
        // A plane always consists of whole vectors.
        let rows = rows.max(LANES / output.width);
        Self {
            reach: starts.last().map_or(0, |&start| start as usize + last + 1),
            rows: rows.clamp(1, output.height),
            height: output.height,
            width: output.width,
            step,
            row_step,
            starts,
        }
    }

    /// Returns the length of a plane.
    fn plane_len(&self) -> usize {
        (self.rows * self.width).next_multiple_of(LANES)
    }

    /// Returns the number of values of all planes.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() * self.plane_len()
    }

    /// Returns the position of the plane that starts at an input position.
    pub(crate) fn place(&self, start: u32) -> usize {
        let plane = self.starts.partition_point(|&other| other < start);
        plane * self.plane_len()
    }

    /// Fills the planes for some rows of outputs.
    #[inline(always)]
    pub(crate) fn make(&self, x: &[f32], planes: &mut [f32], rows: Range<usize>) {
        match (self.step, self.width) {
            (1, ..=4) => self.copy_rows::<1, 4, 4>(x, planes, rows),
            (1, _) => self.copy_rows::<1, LANES, LANES>(x, planes, rows),
            (2, ..=4) => self.copy_rows::<2, 4, 8>(x, planes, rows),
            (2, _) => self.copy_rows::<2, LANES, { 2 * LANES }>(x, planes, rows),
            _ => self.copy_values(x, planes, rows),
        }
    }

    /// Copies rows with neighbours `STEP` apart: `N` values of `READ` at a time.
    #[inline(always)]
    fn copy_rows<const STEP: usize, const N: usize, const READ: usize>(
        &self,
        x: &[f32],
        planes: &mut [f32],
        rows: Range<usize>,
    ) {
        const { assert!(READ <= SLACK && N <= LANES && N * STEP == READ) };
        assert!(
            self.reach + SLACK <= x.len()
                && self.len() + LANES <= planes.len()
                && rows.len() <= self.rows
                && rows.end <= self.height,
            "buffers have the requested size"
        );
        let plane_len = self.plane_len();
        // In increasing order: the next copy overwrites what this one writes beyond its end.
        for (plane, &start) in self.starts.iter().enumerate() {
            let mut from = start as usize + rows.start * self.row_step;
            let mut to = plane * plane_len;
            for _ in rows.clone() {
                for at in (0..self.width).step_by(N) {
                    debug_assert!(from + at * STEP < self.reach && to + at < self.len());
                    // SAFETY: the first value read is before `reach` and the first one written is
                    // inside the planes; `x` has `SLACK` more and `planes` has `LANES` more, as
                    // checked above. An array is aligned as its elements are.
                    unsafe {
                        let x = x.as_ptr().add(from + at * STEP).cast::<[f32; READ]>();
                        let x = x.read();
                        let values: [f32; N] = std::array::from_fn(|place| x[place * STEP]);
                        let planes = planes.as_mut_ptr().add(to + at);
                        planes.cast::<[f32; N]>().write(values);
                    }
                }
                from += self.row_step;
                to += self.width;
            }
        }
    }

    /// Copies rows value by value.
    fn copy_values(&self, x: &[f32], planes: &mut [f32], rows: Range<usize>) {
        let planes = planes.chunks_mut(self.plane_len());
        for (&start, plane) in self.starts.iter().zip(planes) {
            for (row, plane) in rows.clone().zip(plane.chunks_mut(self.width)) {
                let x = &x[start as usize + row * self.row_step..];
                for (plane, &x) in plane.iter_mut().zip(x.iter().step_by(self.step)) {
                    *plane = x;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::{Extent, Margin};
    use crate::runtime::Layout;
    use crate::testing::Draws;

    #[test]
    fn copies_by_rows_agree_with_copies_by_value() {
        let draws = &mut Draws(7);
        for _ in 0..200 {
            let pool = 1 + draws.below(2);
            let extent = |units, height, width| Extent {
                units,
                height,
                width,
            };
            let output = extent(1, 1 + draws.below(6), 1 + draws.below(40));
            let kernel = 1 + draws.below(4);
            let side = |side: usize| side * pool + kernel;
            let input = extent(1, side(output.height), side(output.width));
            let from = Layout::new(input, Margin::default());
            let geometry = ConvGeometry {
                kernel: [kernel; 2],
                stride: [1; 2],
                padding: [0; 2],
                pool,
                relu: false,
                margins: false,
                input,
                output,
                from,
                to: Layout::new(output, Margin::default()),
            };
            let tap = |draws: &mut Draws| {
                let (y, x) = (draws.below(kernel + 1), draws.below(kernel + 1));
                u32::try_from(from.place(y, x)).unwrap()
            };
            let starts: Vec<u32> = (0..draws.below(9)).map(|_| tap(draws)).collect();
            let planes = Planes::new(starts.clone(), &geometry);
            let len = from.unit_len().unwrap();
            let x: Vec<f32> = (0..len + SLACK).map(|_| draws.real()).collect();
            for first in (0..output.height).step_by(planes.rows) {
                let rows = first..output.height.min(first + planes.rows);
                let [mut fast, mut slow] = [(); 2].map(|()| vec![0.0; planes.len() + LANES]);
                planes.make(&x, &mut fast, rows.clone());
                planes.copy_values(&x, &mut slow, rows.clone());
                for &start in &starts {
                    let values =
                        planes.place(start)..planes.place(start) + rows.len() * output.width;
                    assert_eq!(fast[values.clone()], slow[values], "{geometry:?}");
                }
            }
        }
    }
}
