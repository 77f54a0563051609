//! How the content of a file's tensor can contradict itself or the network.

/// How a tensor's content contradicts itself or the network.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// A place of a selection that is not one of its input's units, or does not rise.
    #[error("place {place} is {found}: expected rising places below {all}")]
    Index {
        /// Which place.
        place: usize,
        /// Its number.
        found: i32,
        /// Units of the input.
        all: usize,
    },
    /// A stored value is NaN or infinite.
    #[error("value {index} is {value}, no finite number")]
    NotFinite {
        /// Which value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A sparse layout stores a zero, which no writer of this format does.
    #[error("value {index} is a stored zero")]
    StoredZero {
        /// Which value.
        index: usize,
    },
    /// A standard deviation that is not positive.
    #[error("value {index} is {value}: expected a positive number")]
    NotPositive {
        /// Which value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The first row does not start at 0.
    #[error("the first row starts at {found}: expected 0")]
    FirstRow {
        /// Where it starts.
        found: i64,
    },
    /// A row ends before it starts.
    #[error("row {row} goes from {start} to {end}")]
    RowOrder {
        /// The row.
        row: usize,
        /// Its first entry.
        start: i64,
        /// Its end.
        end: i64,
    },
    /// A row's offset is not the number of entries before it.
    #[error("row {row} starts at {found}: the rows before it hold {expected} entries")]
    RowStart {
        /// The row.
        row: usize,
        /// Where it starts.
        found: i64,
        /// Entries before it.
        expected: usize,
    },
    /// The places and the values do not agree in number.
    #[error("{found} places are given for {expected} values")]
    Count {
        /// Places.
        found: usize,
        /// Values.
        expected: usize,
    },
    /// A column outside the weight.
    #[error("row {row} has column {column}: the weight has {columns}")]
    ColumnRange {
        /// The row.
        row: usize,
        /// The column.
        column: i64,
        /// Columns of the weight.
        columns: usize,
    },
    /// Columns of a row that do not rise, so that one may come twice.
    #[error("row {row} has column {column} at or after column {previous}")]
    ColumnOrder {
        /// The row.
        row: usize,
        /// The column.
        column: i64,
        /// The column before it.
        previous: i64,
    },
    /// Gaps that lead out of the weight.
    #[error("the gaps lead past the weight's {numel} entries")]
    GapRange {
        /// Entries of the weight.
        numel: usize,
    },
    /// A last gap of 255, after which no entry follows.
    #[error("the gaps end in 255, which no entry follows")]
    GapEnd,
    /// A bit set behind the last column.
    #[error("row {row} has a bit set behind its last column")]
    SpareBit {
        /// The row.
        row: usize,
    },
    /// A shape stored as a tensor that is not the weight's.
    #[error("says {found:?}: the weight is {expected:?}")]
    StatedShape {
        /// The shape stored.
        found: Vec<i64>,
        /// The weight's.
        expected: Vec<usize>,
    },
}
