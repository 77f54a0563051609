//! Where the values of a unit lie in a buffer.

use crate::passes::Extent;

/// The places of a unit's values, as the step that reads them wants them: row by row, with the zeros of
/// a convolution's padding around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    padding: usize,
    rows: usize,
    cols: usize,
}

impl Layout {
    /// Of values of extent `extent` with `padding` zeros on every side.
    pub(crate) fn new(extent: Extent, padding: usize) -> Self {
        Self {
            padding,
            rows: extent.height + 2 * padding,
            cols: extent.width + 2 * padding,
        }
    }

    /// Values of a unit, padding included; `None` if they are more than can be counted.
    pub(crate) fn unit_len(self) -> Option<usize> {
        self.rows.checked_mul(self.cols)
    }

    /// Whether there are zeros around the values.
    pub(crate) fn is_padded(self) -> bool {
        self.padding > 0
    }

    /// Rows of a unit, padding included.
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    /// From a row to the next.
    pub(crate) fn row_step(self) -> usize {
        self.cols
    }

    /// The place of the first value of a unit's row.
    pub(crate) fn row(self, unit: usize, y: usize) -> usize {
        unit * self.rows * self.cols + self.place(y, 0)
    }

    /// The place of a value.
    pub(crate) fn place(self, y: usize, x: usize) -> usize {
        (y + self.padding) * self.cols + x + self.padding
    }
}
