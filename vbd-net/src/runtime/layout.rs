//! Where the values of a unit lie in a buffer.

use crate::chain::{Extent, Op};

/// The places of a unit's values, as the step that reads them wants them: row by row, with the zeros of
/// a convolution's padding around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    padding: usize,
    rows: usize,
    cols: usize,
}

impl Layout {
    /// For what comes in with extent `input`, and is read by `reader` or nobody.
    pub(super) fn new(input: Extent, reader: Option<Op>) -> Self {
        let padding = match reader {
            Some(Op::Conv { padding, .. }) => padding,
            _ => 0,
        };
        Self {
            padding,
            rows: input.height + 2 * padding,
            cols: input.width + 2 * padding,
        }
    }

    /// Values of a unit, padding included; `None` if they are more than can be counted.
    pub(super) fn unit_len(self) -> Option<usize> {
        self.rows.checked_mul(self.cols)
    }

    /// Whether there are zeros around the values.
    pub(super) fn is_padded(self) -> bool {
        self.padding > 0
    }

    /// Rows of a unit, padding included.
    pub(super) fn rows(self) -> usize {
        self.rows
    }

    /// From a row to the next.
    pub(super) fn row_step(self) -> usize {
        self.cols
    }

    /// The place of a value.
    pub(super) fn place(self, y: usize, x: usize) -> usize {
        (y + self.padding) * self.cols + x + self.padding
    }
}
