//! The error type of `vbd-core`.

use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `vbd-core`. Messages are lower case and name the file and the field.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of `vbd-net`: a file, a data set, or the instruction set.
    #[error(transparent)]
    Net(#[from] vbd_net::Error),
    /// A TOML text is invalid.
    #[error("{origin}: {message}")]
    Toml {
        /// File or name of the text.
        origin: String,
        /// Line, column and reason.
        message: String,
        /// Known key that is most similar to an unknown one.
        nearest: Option<String>,
    },
    /// A value cannot be written as TOML.
    #[error("cannot write TOML: {0}")]
    TomlWrite(#[from] toml::ser::Error),
    /// A recipe's value is out of range.
    #[error("{origin}: `{field}` is {found}: expected {expected}")]
    Recipe {
        /// File or name of the recipe.
        origin: String,
        /// Dotted key of the field.
        field: String,
        /// Value found.
        found: String,
        /// Expected value.
        expected: String,
    },
    /// A second pass that would start at the input.
    #[error("cannot start a pass at the input: use another batch instead")]
    RunFromInput,
    /// A weight's states are not those of its method.
    #[error("`{name}` has states {found:?}: expected {expected:?}")]
    States {
        /// Name of the layer or gate.
        name: String,
        /// States found.
        found: Vec<&'static str>,
        /// States of the method.
        expected: Vec<&'static str>,
    },
    /// A tensor has the wrong shape.
    #[error("`{name}` has shape {found:?}: expected {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape found.
        found: Vec<usize>,
        /// Expected shape.
        expected: Vec<usize>,
    },
    /// A gate keeps a unit of a channel that another gate prunes.
    #[error("`gate.{after}`: unit {unit} is live but its channel is dead")]
    GatesContradict {
        /// Position of the gate.
        after: String,
        /// Index of the unit.
        unit: u32,
    },
    /// The network to start from has a gate whose factors cannot be folded into weights.
    #[error(
        "cannot start from a run with `gate.{after}`: its units are also read by layers without a weight"
    )]
    StartGateStays {
        /// Position of the gate.
        after: String,
    },
    /// The tensors to start from are not those of the network.
    #[error("{}: tensors do not match network `{net}`: {problem}", path.display())]
    StartTensors {
        /// Path of the file.
        path: PathBuf,
        /// Name of the network.
        net: String,
        /// Tensors that differ, are missing or are left over.
        problem: String,
    },
    /// The network to start from has layers that only pruning writes.
    #[error(
        "cannot start from network `{start}`: it has `{kind}` layers, which are only written by `vbd prune`"
    )]
    StartPruned {
        /// Name of the network.
        start: String,
        /// Kind of layer.
        kind: &'static str,
    },
    /// A checkpoint is damaged.
    #[error("{}: damaged checkpoint: {problem}", path.display())]
    DamagedCheckpoint {
        /// Path of the file.
        path: PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// A checkpoint has an unsupported version.
    #[error("{}: checkpoint version is {found}: expected {expected}", path.display())]
    CheckpointVersion {
        /// Path of the file.
        path: PathBuf,
        /// Version of the file.
        found: u64,
        /// Supported version.
        expected: u32,
    },
    /// A file is intact but not a valid checkpoint.
    #[error("{}: `{field}`: {problem}", path.display())]
    Checkpoint {
        /// Path of the file.
        path: PathBuf,
        /// Name of the tensor or metadata field.
        field: String,
        /// Description of the problem.
        problem: String,
    },
    /// A run directory has no readable checkpoint.
    #[error("{}: no readable checkpoint", path.display())]
    NoCheckpoint {
        /// Path of the directory.
        path: PathBuf,
    },
    /// All checkpoints of a run are damaged.
    #[error("{}: all {count} checkpoints are damaged", path.display())]
    AllDamaged {
        /// Path of the directory.
        path: PathBuf,
        /// Number of checkpoints.
        count: usize,
    },
    /// Another process is training in the run directory.
    #[error("{}: in use by another training process", path.display())]
    RunInUse {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The directory already contains a run.
    #[error("{}: already contains a run", path.display())]
    RunExists {
        /// Path of the directory.
        path: PathBuf,
    },
    /// A run cannot start from a checkpoint of another network.
    #[error("network `{net}` cannot start from network `{start}`: {problem}")]
    StartDiffers {
        /// Name of the network to train.
        net: String,
        /// Name of the network of the checkpoint.
        start: String,
        /// First difference.
        problem: String,
    },
    /// The network gives every sample the same outputs, and the recipe stops on that.
    #[error("epoch {epoch}: the output of network `{net}` is constant")]
    Collapsed {
        /// Epoch, from 1.
        epoch: usize,
        /// Name of the network.
        net: String,
    },
    /// The loss or a parameter became NaN or infinite.
    #[error("epoch {epoch}, step {step}: {what} is no longer finite")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// `loss` or the name of a parameter.
        what: String,
    },
    /// A network cannot be evaluated by draws of its noise.
    #[error("network `{net}` cannot be evaluated by draws: {why}")]
    NoDraws {
        /// Name of the network.
        net: String,
        /// Reason.
        why: &'static str,
    },
    /// Starting a thread pool failed.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// Number of threads requested.
        threads: usize,
        /// Error of the thread pool.
        source: rayon::ThreadPoolBuildError,
    },
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// Adds the path to an error of the file system.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| vbd_net::Error::io(path)(source).into()
    }
}
