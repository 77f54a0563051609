//! What can go wrong in `vbd-prune`.

mod problem;

use std::path::PathBuf;

use vbd_core::spec::NetSpec;
use vbd_core::tensor_file::TensorFileError;

pub use problem::Problem;

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
    /// An error of `vbd-net`: a file, or the instruction set.
    #[error(transparent)]
    Net(#[from] vbd_net::Error),
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
        source: Box<vbd_core::Error>,
    },
    /// The network that a smaller one is said to come from cannot be that.
    #[error("{}: metadata `before`: {problem}", path.display())]
    Before {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
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
        problem: Box<Problem>,
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
    #[error(
        "a threshold of {threshold} is above the training's, {trained}: what lies between is gone"
    )]
    ThresholdAboveTraining {
        /// The threshold asked for.
        threshold: f32,
        /// The training's.
        trained: f32,
    },
    /// A threshold for weights that have no `log_sigma2` to compare with it.
    #[error(
        "a threshold of {threshold} needs log_sigma2, which {what} does not hold: its zeros are what is pruned"
    )]
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
    /// A net whose activations, or what its layers work in, are too large to run.
    #[error(
        "network `{net}` needs {found} bytes of memory a sample: this program runs up to {most}"
    )]
    TooLarge {
        /// Name of the network.
        net: String,
        /// Bytes that it needs.
        found: u64,
        /// Bytes that it may need.
        most: u64,
    },
    /// A batch, or the dense net that it is timed on, is too large.
    #[error(
        "network `{net}` made dense needs {found} bytes for a batch of {batch}: this program times up to {most}"
    )]
    BatchTooLarge {
        /// Name of the network.
        net: String,
        /// Samples of the batch.
        batch: usize,
        /// Bytes of the dense weights and the batch's largest activations.
        found: u64,
        /// Bytes that they may take.
        most: u64,
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
    /// [`Error::TooLarge`] for so many f32 values.
    pub(crate) fn too_large(spec: &NetSpec, found: usize, most: usize) -> Self {
        let bytes = |values: usize| (values as u64).saturating_mul(size_of::<f32>() as u64);
        Self::TooLarge {
            net: spec.name.clone(),
            found: bytes(found),
            most: bytes(most),
        }
    }

    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Overflow {
                values: ValueType::F16,
                ..
            } => Some("use bf16 or f32 values"),
            Self::Overflow { .. } => Some("use f32 values"),
            Self::ThresholdAboveTraining { .. } => {
                Some("prune at the training's threshold or below")
            }
            Self::ThresholdWithoutPosterior { .. } => Some(
                "prune a checkpoint of a run with method vbd, vd, vbd-neurons or vd-neurons, or leave the threshold out",
            ),
            Self::Version { .. } => Some("the file is of a newer program"),
            _ => None,
        }
    }
}
