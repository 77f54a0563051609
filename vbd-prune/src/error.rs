//! What can go wrong in `vbd-prune`.

use std::path::PathBuf;

use vbd_core::tensor_file::TensorFileError;

use crate::format::ValueType;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `vbd-prune`. Messages are lower case and name the file and the tensor or field.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of `vbd-core`.
    #[error(transparent)]
    Core(#[from] vbd_core::Error),
    /// Candle could not compute something.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// Bytes that are no whole safetensors file, or one without our metadata.
    #[error("{}: {source}", path.display())]
    TensorFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TensorFileError,
    },
    /// A net that no safetensors file can hold.
    #[error("cannot be written as a safetensors file: {0}")]
    Unwritable(#[source] TensorFileError),
    /// The metadata are not the JSON that they should be.
    #[error("{}: metadata `vbd`: {source}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What serde said.
        source: serde_json::Error,
    },
    /// The file is of a version that this program does not know.
    #[error("{}: metadata `version` is {found}: this program reads {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is read.
        expected: u32,
    },
    /// The file holds something that this program does not know.
    #[error("{}: metadata `kind` is `{found}`: expected {expected}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// Its kind.
        found: String,
        /// The kinds that would be right.
        expected: &'static str,
    },
    /// The network in the metadata cannot be one.
    #[error("{}: metadata `spec`: {source}", path.display())]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: vbd_core::Error,
    },
    /// A tensor that the network needs is not there.
    #[error("{}: tensor `{tensor}` is absent", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor; for a weight, the name before the layout's suffixes.
        tensor: String,
    },
    /// A tensor that the network does not know.
    #[error("{}: tensor `{tensor}` belongs to no layer, or to a second layout of one", path.display())]
    SurplusTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has the wrong type.
    #[error("{}: tensor `{tensor}` is of {found}: expected {expected}", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: String,
        /// The type that would be right.
        expected: String,
    },
    /// A tensor has the wrong shape.
    #[error("{}: tensor `{tensor}` has shape {found:?}: expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that would be right.
        expected: Vec<usize>,
    },
    /// A tensor's content contradicts itself or the network.
    #[error("{}: tensor `{tensor}`: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The contradiction.
        problem: Problem,
    },
    /// A value to be stored is no finite number.
    #[error("`{tensor}` has the value {value}, which is no finite number")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The value.
        value: f32,
    },
    /// A value to be stored is too large for its type.
    #[error("`{tensor}` has the value {value}, too large for {values}")]
    Overflow {
        /// The tensor.
        tensor: String,
        /// The value.
        value: f32,
        /// The type asked for.
        values: ValueType,
    },
    /// A threshold that is no number.
    #[error("a threshold of {threshold} is no finite number")]
    ThresholdNotFinite {
        /// The threshold.
        threshold: f32,
    },
    /// A threshold above the training's, at which weights died for good.
    #[error("a threshold of {threshold} is above the training's, {trained}: the weights between are gone")]
    ThresholdAboveTraining {
        /// The threshold asked for.
        threshold: f32,
        /// The training's.
        trained: f32,
    },
    /// A threshold for weights that have no `log_sigma2` to compare with it.
    #[error("a threshold of {threshold} needs log_sigma2, which {what} does not hold: its zeros are what is pruned")]
    ThresholdWithoutPosterior {
        /// The threshold asked for.
        threshold: f32,
        /// The kind of file.
        what: &'static str,
    },
    /// Input of the wrong size for the network.
    #[error("the input has {found} values: network `{net}` takes {samples} x {expected}")]
    Input {
        /// Name of the network.
        net: String,
        /// Values that came.
        found: usize,
        /// Samples that were said to come.
        samples: usize,
        /// Values of one sample.
        expected: usize,
    },
    /// A label that the network has no class for.
    #[error("sample {index} has label {label}: network `{net}` has {classes} classes")]
    Label {
        /// Name of the network.
        net: String,
        /// The sample.
        index: usize,
        /// Its label.
        label: u8,
        /// Classes of the network.
        classes: usize,
    },
}

impl Error {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Overflow { values: ValueType::F16, .. } => Some("use bf16 or f32 values"),
            Self::Overflow { .. } => Some("use f32 values"),
            Self::ThresholdAboveTraining { .. } => Some("prune at the training's threshold or below"),
            Self::ThresholdWithoutPosterior { .. } => {
                Some("prune a checkpoint of a run with method vbd or vd, or leave the threshold out")
            }
            Self::TensorFile { source: TensorFileError::NoMetadata, .. } => {
                Some("bring in a file of another program with `vbd import`")
            }
            Self::Version { .. } => Some("the file is of a newer program"),
            _ => None,
        }
    }
}

/// How a tensor's content contradicts itself or the network.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
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
