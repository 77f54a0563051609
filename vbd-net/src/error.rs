//! What can go wrong in `vbd-net`.

use std::path::{Path, PathBuf};

use crate::format::ValueType;
use crate::problem::Problem;
use crate::simd::UnknownInstructionSet;
use crate::spec::NetSpec;
use crate::tensor_file::TensorFileError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `vbd-net`. Messages are lower case and name the file and the field.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Images and labels, or a data set and a network, do not fit together.
    #[error("data set `{name}`: {field} is {found}: expected {expected}")]
    Data {
        /// Name of the data set.
        name: String,
        /// What is wrong.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A weight that a weights file cannot hold.
    #[error(
        "`{tensor}`: shape {shape:?} is no weight's: expected two to eight sizes, 1 to 2^28 entries, a name of its own, \
         and no more rows than the file has bytes"
    )]
    WeightShape {
        /// Name of the weight.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A value of a sample's input is no finite number.
    #[error("sample {sample}: value {place} of its input is {value}, which is no finite number")]
    InputNotFinite {
        /// The sample.
        sample: usize,
        /// Which of its values.
        place: usize,
        /// The value.
        value: f32,
    },
    /// Samples without labels for a network that is measured by labels.
    #[error(
        "the samples have no labels: network `{net}` tells classes apart, and is measured by them"
    )]
    NoLabels {
        /// Name of the network.
        net: String,
    },
    /// A network's layers do not fit together.
    #[error("network `{net}`: `{layer}`: {problem}")]
    Spec {
        /// Name of the network.
        net: String,
        /// Name of the layer or field.
        layer: String,
        /// What is wrong with it.
        problem: String,
    },
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
    SpecInFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
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
    /// A tensor that is not the network's.
    #[error("`{name}` has shape {found:?}: expected {expected:?}")]
    Mismatch {
        /// The tensor, or what there are more or fewer of.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
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
    /// `VBD_SIMD` names an instruction set that this machine lacks.
    #[error(transparent)]
    InstructionSet(#[from] UnknownInstructionSet),
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

    /// Adds the path to an error of the container.
    pub(crate) fn tensor_file(path: &Path) -> impl FnOnce(TensorFileError) -> Self {
        let path = path.to_path_buf();
        move |source| Self::TensorFile { path, source }
    }

    /// Adds the path to an error of the metadata.
    pub(crate) fn metadata(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Metadata { path, source }
    }

    /// [`Error::Mismatch`] of a tensor.
    pub(crate) fn mismatch(name: &str, found: &[usize], expected: &[usize]) -> Self {
        Self::Mismatch {
            name: name.to_owned(),
            found: found.to_vec(),
            expected: expected.to_vec(),
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
            Self::Version { .. } => Some("the file is of a newer program"),
            _ => None,
        }
    }

    /// Adds the path to an error of the file system.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
