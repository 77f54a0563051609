//! Layout of a unit's values in a buffer.

use crate::passes::{Extent, Margin};

/// Positions of a unit's values: row by row, surrounded by the zeros that its consumers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    margin: Margin,
    rows: usize,
    cols: usize,
}

impl Layout {
    /// Creates the layout of an extent with a margin of zeros.
    pub(crate) fn new(extent: Extent, margin: Margin) -> Self {
        let side = |at: usize, size: usize| {
            let all = margin.before[at].saturating_add(margin.after[at]);
            size.saturating_add(all)
        };
        Self {
            margin,
            rows: side(0, extent.height),
            cols: side(1, extent.width),
        }
    }

    /// Returns the values per unit including the margin, or `None` on overflow.
    pub(crate) fn unit_len(self) -> Option<usize> {
        self.rows.checked_mul(self.cols)
    }

    /// Returns the zeros around a unit's values.
    pub(crate) fn margin(self) -> Margin {
        self.margin
    }

    /// Returns whether there is a margin.
    pub(crate) fn is_padded(self) -> bool {
        self.margin != Margin::default()
    }

    /// Returns the rows of a unit including the margin.
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
        let [above, left] = self.margin.before;
        (y + above) * self.cols + x + left
    }
}
