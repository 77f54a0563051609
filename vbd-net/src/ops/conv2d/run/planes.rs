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

/// Output rows of this many values share the lines of planes: vectors of 8 lanes stay aligned then, and
/// those of 16 straddle cache lines at every other line at most.
pub(super) const SHARED_WIDTH: usize = 8;

/// Sources and sizes of planes.
///
/// A plane holds every `step`-th value of some lines of one input channel: all that the taps of one column
/// and of every `row_stride`-th row of the kernel read. Taps read it from the line of their first
/// output on. Where the lines of planes are not shared, each tap's inputs have a plane of their own.
#[derive(Debug)]
pub(super) struct Planes {
    all: Vec<Plane>,
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
    /// Distance between the inputs of adjacent rows, rows of a channel, and rows per output row.
    line_step: usize,
    unit_lines: usize,
    row_stride: usize,
}

#[derive(Debug, Clone, Copy)]
struct Plane {
    name: PlaneName,
    /// Position of its first value in the input, for the first output row.
    source: usize,
    /// Last line of the taps.
    last: usize,
    /// Position in the buffer of planes.
    at: usize,
}

/// The inputs that a plane holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PlaneName {
    /// Column of the first output's input. First, as in the order of taps.
    column: usize,
    unit: usize,
    /// Row of the first output's input modulo `row_stride`.
    phase: usize,
    /// First line, in units of `row_stride`.
    line: usize,
}

impl Planes {
    /// Creates planes for taps that read these input positions at the first output, in any order and
    /// with repetitions.
    pub(crate) fn new(mut starts: Vec<u32>, geometry: &ConvGeometry) -> Self {
        starts.sort_unstable();
        starts.dedup();
        let ConvGeometry { output, from, .. } = *geometry;
        let [row_stride, stride] = geometry.stride.map(|stride| stride * geometry.pool);
        let mut planes = Self {
            all: Vec::new(),
            reach: 0,
            rows: 0,
            height: output.height,
            width: output.width,
            step: stride,
            // With a single row of outputs, the distance between rows is unused.
            row_step: from.row_step().saturating_mul(row_stride),
            line_step: from.row_step(),
            unit_lines: from.rows(),
            row_stride,
        };
        let names = starts
            .iter()
            .map(|&start| (planes.name(start), start as usize));
        let mut names: Vec<(PlaneName, usize)> = names.collect();
        names.sort_unstable();
        for (name, source) in names {
            match planes.all.last_mut() {
                Some(plane)
                    if planes.width.is_multiple_of(SHARED_WIDTH) && plane.name.holds(name) =>
                {
                    plane.last = name.line;
                }
                _ => planes.all.push(Plane {
                    name,
                    source,
                    last: name.line,
                    at: 0,
                }),
            }
        }
        let shared: usize = planes.all.iter().map(Plane::shared_lines).sum();
        let rows = (CACHED_VALUES / planes.width).saturating_sub(shared) / planes.all.len().max(1);
        // A plane always consists of whole vectors.
        let rows = rows.max(LANES / planes.width);
        planes.rows = rows.clamp(1, planes.height);
        let mut at = 0;
        for plane in &mut planes.all {
            plane.at = at;
            at += plane.len(planes.rows * planes.width, planes.width);
            let lines = planes.height - 1 + plane.shared_lines();
            let last = plane.source + lines * planes.row_step + (planes.width - 1) * planes.step;
            planes.reach = planes.reach.max(last + 1);
        }
        planes
    }

    /// Returns the inputs of a tap that reads from an input position on.
    fn name(&self, start: u32) -> PlaneName {
        let (line, column) = (
            start as usize / self.line_step,
            start as usize % self.line_step,
        );
        let (unit, line) = (line / self.unit_lines, line % self.unit_lines);
        PlaneName {
            unit,
            column,
            phase: line % self.row_stride,
            line: line / self.row_stride,
        }
    }

    /// Returns the number of values of all planes.
    pub(crate) fn len(&self) -> usize {
        let last = self.all.last();
        let outputs = self.rows * self.width;
        last.map_or(0, |last| last.at + last.len(outputs, self.width))
    }

    /// Returns the position in the planes of a tap that reads from an input position on.
    pub(crate) fn place(&self, start: u32) -> usize {
        let name = self.name(start);
        let after = self.all.partition_point(|plane| plane.name <= name);
        let plane = &self.all[after - 1];
        plane.at + (name.line - plane.name.line) * self.width
    }

    /// Fills the planes for some rows of outputs.
    #[inline(always)]
    pub(crate) fn make(&self, x: &[f32], planes: &mut [f32], rows: Range<usize>) {
        match (self.step, self.width) {
            (1, width) if width % LANES == 8 => self.copy_rows::<1, 8, 8>(x, planes, rows),
            (1, ..=4) => self.copy_rows::<1, 4, 4>(x, planes, rows),
            (1, _) => self.copy_rows::<1, LANES, LANES>(x, planes, rows),
            (2, width) if width % LANES == 8 => self.copy_rows::<2, 8, 16>(x, planes, rows),
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
        // In increasing order: the next copy overwrites what this one writes beyond its end.
        for plane in &self.all {
            let mut from = plane.source + rows.start * self.row_step;
            let mut to = plane.at;
            for _ in 0..rows.len() + plane.shared_lines() {
                let mut at = 0;
                while at < self.width {
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
                    at += N;
                }
                from += self.row_step;
                to += self.width;
            }
        }
    }

    /// Copies rows value by value.
    fn copy_values(&self, x: &[f32], planes: &mut [f32], rows: Range<usize>) {
        for plane in &self.all {
            let lines = rows.start..rows.end + plane.shared_lines();
            let values = planes[plane.at..].chunks_mut(self.width);
            for (line, plane_line) in lines.zip(values) {
                let x = &x[plane.source + line * self.row_step..];
                for (value, &x) in plane_line.iter_mut().zip(x.iter().step_by(self.step)) {
                    *value = x;
                }
            }
        }
    }
}

impl PlaneName {
    /// Returns whether the lines of a plane are followed by those of `other`.
    fn holds(self, other: Self) -> bool {
        Self { line: 0, ..self } == Self { line: 0, ..other }
    }
}

impl Plane {
    /// Returns the number of lines in addition to one for each output row.
    fn shared_lines(&self) -> usize {
        self.last - self.name.line
    }

    /// Returns the number of values in whole vectors, of which some belong to the last line's outputs.
    fn len(&self, outputs: usize, width: usize) -> usize {
        let last = self.shared_lines() * width + outputs.next_multiple_of(LANES);
        last.next_multiple_of(LANES)
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
