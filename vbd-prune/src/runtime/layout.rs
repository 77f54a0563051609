//! Where the values of a unit lie in a buffer.

use crate::chain::{Extent, Op};

/// The places of a unit's values, as the step that reads them wants them.
///
/// A convolution with `stride`, and pooling behind it, reads positions `period = stride * pool` apart.
/// So that neighbours of a SIMD vector are neighbours in memory, a unit is kept as `period x period`
/// images, one for each remainder of row and column, with the padding's zeros around them. For
/// everything else the period is 1 and a unit is a plain image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    period: usize,
    padding: usize,
    /// Rows and columns of one of the images.
    rows: usize,
    cols: usize,
}

impl Layout {
    /// For what comes in with extent `input`, and is read by `reader` or nobody.
    pub(super) fn new(input: Extent, reader: Option<Op>) -> Self {
        let (period, padding) = match reader {
            Some(Op::Conv {
                stride,
                padding,
                pool,
                ..
            }) => {
                // A step past the image is never taken.
                let side = input.height.max(input.width) + 2 * padding;
                (stride.saturating_mul(pool).min(side), padding)
            }
            _ => (1, 0),
        };
        let side = |side: usize| (side + 2 * padding).div_ceil(period);
        Self {
            period,
            padding,
            rows: side(input.height),
            cols: side(input.width),
        }
    }

    /// Values of a unit, padding included; `None` if they are more than can be counted.
    pub(super) fn unit_len(self) -> Option<usize> {
        self.rows
            .checked_mul(self.cols)?
            .checked_mul(self.period)?
            .checked_mul(self.period)
    }

    /// Whether there are zeros around the values.
    pub(super) fn is_padded(self) -> bool {
        self.padding > 0
    }

    /// From a row of one of the images to the next.
    pub(super) fn row_step(self) -> usize {
        self.cols
    }

    /// The place of a value by its row and column, padding counted.
    pub(super) fn padded_place(self, y: usize, x: usize) -> usize {
        let Self {
            period, rows, cols, ..
        } = self;
        let image = y % period * period + x % period;
        (image * rows + y / period) * cols + x / period
    }

    /// The place of a value.
    pub(super) fn place(self, y: usize, x: usize) -> usize {
        self.padded_place(y + self.padding, x + self.padding)
    }

    /// The places of a row of `width` values, as runs: each has its first value, the step from one
    /// value to the next, and its first place; the next place is the next one.
    pub(super) fn runs(
        self,
        y: usize,
        width: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.period.min(width)).map(move |x| (x, self.period, self.place(y, x)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_own_place_and_runs_lead_to_it() {
        for (stride, pool, padding, height, width) in [
            (1, 1, 0, 4, 5),
            (1, 2, 1, 7, 4),
            (2, 2, 2, 5, 9),
            (3, 1, 0, 3, 2),
        ] {
            let extent = Extent {
                units: 1,
                height,
                width,
            };
            let conv = Op::Conv {
                kernel: 1,
                stride,
                padding,
                pool,
            };
            let layout = Layout::new(extent, Some(conv));
            let len = layout.unit_len().unwrap();
            let mut taken = vec![false; len];
            for y in 0..height {
                let mut seen = 0;
                for (first, step, place) in layout.runs(y, width) {
                    for (place, x) in (place..).zip((first..width).step_by(step)) {
                        assert_eq!(place, layout.place(y, x));
                        assert!(!std::mem::replace(&mut taken[place], true));
                        seen += 1;
                    }
                }
                assert_eq!(seen, width);
            }
        }
        let plain = Layout::new(
            Extent {
                units: 1,
                height: 3,
                width: 4,
            },
            Some(Op::Linear),
        );
        assert_eq!(
            (plain.unit_len(), plain.place(2, 3), plain.row_step()),
            (Some(12), 11, 4)
        );
    }
}
