//! The error type of `vbd-net`.

use std::path::{Path, PathBuf};

use crate::foreign;
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
    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A file of another program in place of a text.
    #[error("{}: not a text file: this is {kind}", path.display())]
    Foreign {
        /// Path of the file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A path cannot be written over.
    #[error("{}: is {what}: expected a writable file or a new name", path.display())]
    NotWritable {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// Images do not match labels, or a data set does not match a network.
    #[error("data set `{name}`: {field} is {found}: expected {expected}")]
    Data {
        /// Name of the data set.
        name: String,
        /// Property that is wrong.
        field: &'static str,
        /// Value found.
        found: String,
        /// Expected value.
        expected: String,
    },
    /// The images of a data set do not have the shape that a network expects.
    #[error(
        "data set `{data}`: image shape is {found:?}: expected {expected:?}, the input of network `{net}`"
    )]
    ImageShape {
        /// Name of the data set.
        data: String,
        /// `[channels, rows, columns]` of an image.
        found: [usize; 3],
        /// Name of the network.
        net: String,
        /// Input shape of the network.
        expected: Vec<usize>,
    },
    /// A weight that a weights file cannot hold.
    #[error(
        "`{tensor}`: invalid weight of shape {shape:?}: expected two to eight dimensions, 1 to 2^28 entries, a unique \
         name, and no more rows than the file has bytes"
    )]
    WeightShape {
        /// Name of the weight.
        tensor: String,
        /// Shape of the weight.
        shape: Vec<usize>,
    },
    /// A sample has an input value that is NaN or infinite.
    #[error("sample {sample}: input value {place} must be finite, got {value}")]
    InputNotFinite {
        /// Index of the sample.
        sample: usize,
        /// Index of the value in the sample.
        place: usize,
        /// Value found.
        value: f32,
    },
    /// Unlabeled samples for a classifier.
    #[error("samples have no labels: network `{net}` is a classifier")]
    NoLabels {
        /// Name of the network.
        net: String,
    },
    /// A network definition is invalid.
    #[error("network `{net}`: `{layer}`: {problem}")]
    Spec {
        /// Name of the network.
        net: String,
        /// Name of the layer or field.
        layer: String,
        /// Description of the problem.
        problem: String,
    },
    /// The file is not a complete safetensors file, or lacks `vbd` metadata.
    #[error("{}: {source}", path.display())]
    TensorFile {
        /// Path of the file.
        path: PathBuf,
        /// Description of the problem.
        source: TensorFileError,
    },
    /// A net that a safetensors file cannot represent.
    #[error("cannot write a safetensors file: {0}")]
    Unwritable(#[source] TensorFileError),
    /// The metadata are not valid JSON of the expected form.
    #[error("{}: metadata `vbd`: {source}", path.display())]
    Metadata {
        /// Path of the file.
        path: PathBuf,
        /// Error of the JSON parser.
        source: serde_json::Error,
    },
    /// A number in the metadata is out of range.
    #[error("{}: metadata `{field}` is {found}: expected {expected}", path.display())]
    MetadataRange {
        /// Path of the file.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
        /// Number found.
        found: f64,
        /// Range of the field.
        expected: &'static str,
    },
    /// The file has an unsupported version.
    #[error("{}: metadata `version` is {found}: expected {expected} or lower", path.display())]
    Version {
        /// Path of the file.
        path: PathBuf,
        /// Version of the file.
        found: u64,
        /// Newest supported version.
        expected: u32,
    },
    /// The file is of an unexpected kind.
    #[error("{}: metadata `kind` is `{found}`: expected {expected}", path.display())]
    Kind {
        /// Path of the file.
        path: PathBuf,
        /// Kind in the file.
        found: String,
        /// Expected kinds.
        expected: &'static str,
    },
    /// The network in the metadata is invalid.
    #[error("{}: metadata `spec`: {source}", path.display())]
    SpecInFile {
        /// Path of the file.
        path: PathBuf,
        /// Description of the problem.
        source: Box<Error>,
    },
    /// The metadata's original of a shrunk network does not match it.
    #[error("{}: metadata `before`: {problem}", path.display())]
    Before {
        /// Path of the file.
        path: PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// A field of the metadata's provenance does not match the network.
    #[error("{}: metadata `provenance.{field}`: {problem}", path.display())]
    Provenance {
        /// Path of the file.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
        /// Description of the problem.
        problem: String,
    },
    /// A required tensor is missing.
    #[error("{}: missing tensor `{tensor}`", path.display())]
    MissingTensor {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor. For a weight, without the suffixes of its layout.
        tensor: String,
    },
    /// A tensor that belongs to no layer or to a second layout of a weight.
    #[error("{}: unexpected tensor `{tensor}`", path.display())]
    SurplusTensor {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor has the wrong type.
    #[error("{}: tensor `{tensor}` has type {found}: expected {expected}", path.display())]
    Dtype {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Type in the file.
        found: String,
        /// Expected type.
        expected: String,
    },
    /// A tensor has the wrong shape.
    #[error("{}: tensor `{tensor}` has shape {found:?}: expected {expected:?}", path.display())]
    Shape {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape found.
        found: Vec<usize>,
        /// Expected shape.
        expected: Vec<usize>,
    },
    /// A tensor's content is inconsistent.
    #[error("{}: tensor `{tensor}`: {problem}", path.display())]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The inconsistency.
        problem: Box<Problem>,
    },
    /// A tensor does not fit the network.
    #[error("`{name}` has shape {found:?}: expected {expected:?}")]
    Mismatch {
        /// Name of the tensor or of the counted items.
        name: String,
        /// Shape found.
        found: Vec<usize>,
        /// Expected shape.
        expected: Vec<usize>,
    },
    /// A tensor of the network is missing.
    #[error("network `{net}`: tensor `{tensor}` is missing")]
    AbsentTensor {
        /// Name of the network.
        net: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor of a network is inconsistent.
    #[error("network `{net}`: tensor `{tensor}`: {problem}")]
    Part {
        /// Name of the network.
        net: String,
        /// Name of the tensor.
        tensor: String,
        /// Description of the inconsistency.
        problem: Problem,
    },
    /// A tensor that the network does not have.
    #[error("network `{net}`: has no tensor `{tensor}`")]
    UnknownTensor {
        /// Name of the network.
        net: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// A network is not valid JSON of the expected form.
    #[error("network: {0}")]
    Json(#[source] serde_json::Error),
    /// A value to store is NaN or infinite.
    #[error("`{tensor}`: values must be finite, got {value}")]
    NotFinite {
        /// Name of the tensor.
        tensor: String,
        /// Value found.
        value: f32,
    },
    /// A value to store is too large for its type.
    #[error("`{tensor}`: value {value} is too large for {values}")]
    Overflow {
        /// Name of the tensor.
        tensor: String,
        /// Value found.
        value: f32,
        /// Requested type.
        values: ValueType,
    },
    /// Input of the wrong length.
    #[error("input has {found} values: network `{net}` expects {samples} x {expected}")]
    Input {
        /// Name of the network.
        net: String,
        /// Number of values given.
        found: usize,
        /// Number of samples given.
        samples: usize,
        /// Values per sample.
        expected: usize,
    },
    /// A network whose activations or scratch buffers exceed the limit.
    #[error("network `{net}` needs {found} bytes of memory per sample: limit is {most}")]
    TooLarge {
        /// Name of the network.
        net: String,
        /// Bytes needed per sample.
        found: u64,
        /// Limit in bytes.
        most: u64,
    },
    /// A label outside the network's classes.
    #[error("sample {index} has label {label}: network `{net}` has {classes} classes")]
    Label {
        /// Name of the network.
        net: String,
        /// Index of the sample.
        index: usize,
        /// The label.
        label: u8,
        /// Number of classes of the network.
        classes: usize,
    },
    /// `VBD_SIMD` names an instruction set that is not available.
    #[error(transparent)]
    InstructionSet(#[from] UnknownInstructionSet),
}

impl Error {
    /// Returns [`Error::TooLarge`] for counts of f32 values.
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

    /// Returns [`Error::Mismatch`] of a tensor.
    pub(crate) fn mismatch(name: &str, found: &[usize], expected: &[usize]) -> Self {
        Self::Mismatch {
            name: name.to_owned(),
            found: found.to_vec(),
            expected: expected.to_vec(),
        }
    }

    /// Returns a hint on how to fix the error, if there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Overflow {
                values: ValueType::F16,
                ..
            } => Some("use bf16 or f32 values"),
            Self::Overflow { .. } => Some("use f32 values"),
            Self::Version { .. } => Some("update vbd: the file was written by a newer version"),
            Self::TensorFile {
                source: TensorFileError::Foreign(kind),
                ..
            } if kind.contains("pickle") => Some(foreign::PICKLE_HINT),
            _ => None,
        }
    }

    /// Adds the path to an error of the file system.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
