//! Inconsistencies in the content of a file's tensors.

/// An inconsistency in a tensor's content, by itself or with the network.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// An index of a selection is out of range or does not increase.
    #[error("index {place} is {found}: expected increasing indices below {all}")]
    Index {
        /// Position of the index.
        place: usize,
        /// Its value.
        found: i32,
        /// Number of units of the input.
        all: usize,
    },
    /// A stored value is NaN or infinite.
    #[error("value {index} must be finite, got {value}")]
    NotFinite {
        /// Index of the value.
        index: usize,
        /// Value found.
        value: f32,
    },
    /// A sparse layout stores a zero.
    #[error("value {index} is zero: sparse layouts store nonzero values only")]
    StoredZero {
        /// Index of the value.
        index: usize,
    },
    /// A standard deviation is not positive.
    #[error("value {index} must be positive, got {value}")]
    NotPositive {
        /// Index of the value.
        index: usize,
        /// Value found.
        value: f32,
    },
    /// A variance is negative.
    #[error("value {index} must be at least 0, got {value}")]
    Negative {
        /// Index of the value.
        index: usize,
        /// Value found.
        value: f32,
    },
    /// The first row does not start at 0.
    #[error("first row starts at {found}: expected 0")]
    FirstRow {
        /// Start of the row.
        found: i64,
    },
    /// A row ends before it starts.
    #[error("row {row} starts at {start} but ends at {end}")]
    RowOrder {
        /// Index of the row.
        row: usize,
        /// Its start.
        start: i64,
        /// Its end.
        end: i64,
    },
    /// A row's offset is not the number of entries before it.
    #[error("row {row} starts at {found}: expected {expected}")]
    RowStart {
        /// Index of the row.
        row: usize,
        /// Start of the row.
        found: i64,
        /// Number of entries before the row.
        expected: usize,
    },
    /// The numbers of positions and values differ.
    #[error("{found} positions for {expected} values")]
    Count {
        /// Number of positions.
        found: usize,
        /// Number of values.
        expected: usize,
    },
    /// A column is outside the weight.
    #[error("row {row} has column {column}: expected less than {columns}")]
    ColumnRange {
        /// Index of the row.
        row: usize,
        /// The column.
        column: i64,
        /// Number of columns of the weight.
        columns: usize,
    },
    /// Columns of a row do not increase.
    #[error("row {row} has column {column} after column {previous}: expected increasing columns")]
    ColumnOrder {
        /// Index of the row.
        row: usize,
        /// The column.
        column: i64,
        /// The column before it.
        previous: i64,
    },
    /// The gaps extend beyond the weight.
    #[error("gaps extend beyond the weight's {numel} entries")]
    GapRange {
        /// Number of entries of the weight.
        numel: usize,
    },
    /// The last gap is 255, which no entry follows.
    #[error("gaps end in 255: expected an entry after it")]
    GapEnd,
    /// A bit is set beyond the last column.
    #[error("row {row} has a bit set beyond its last column")]
    SpareBit {
        /// Index of the row.
        row: usize,
    },
    /// The stored shape is not that of the weight.
    #[error("stored shape is {found:?}: expected {expected:?}")]
    StatedShape {
        /// Shape in the file.
        found: Vec<i64>,
        /// Shape of the weight.
        expected: Vec<usize>,
    },
}
