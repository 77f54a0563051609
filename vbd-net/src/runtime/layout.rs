//! Layout of a unit's values in a buffer.

use crate::passes::Extent;

/// Positions of a unit's values as its consumer needs them: row by row, surrounded by the zeros of
/// a convolution's padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    padding: usize,
    rows: usize,
    cols: usize,
}

impl Layout {
    /// Creates the layout of an extent with `padding` zeros on every side.
    pub(crate) fn new(extent: Extent, padding: usize) -> Self {
        Self {
            padding,
            rows: extent.height + 2 * padding,
            cols: extent.width + 2 * padding,
        }
    }

    /// Returns the values per unit including padding, or `None` on overflow.
    pub(crate) fn unit_len(self) -> Option<usize> {
        self.rows.checked_mul(self.cols)
    }

    /// Returns whether there is padding.
    pub(crate) fn is_padded(self) -> bool {
        self.padding > 0
    }

    /// Returns the rows of a unit including padding.
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    /// Returns the distance between rows.
    pub(crate) fn row_step(self) -> usize {
        self.cols
    }

    /// Returns the position of the first value of a unit's row.
    pub(crate) fn row(self, unit: usize, y: usize) -> usize {
        unit * self.rows * self.cols + self.place(y, 0)
    }

    /// Returns the position of a value.
    pub(crate) fn place(self, y: usize, x: usize) -> usize {
        (y + self.padding) * self.cols + x + self.padding
    }
}
