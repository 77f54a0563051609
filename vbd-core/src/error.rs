//! What can go wrong in `vbd-core`.

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
    /// A TOML text could not be read as what it should be.
    #[error("{origin}: {message}")]
    Toml {
        /// The file or name that the text came from.
        origin: String,
        /// Line, column and reason.
        message: String,
        /// The known key nearest to an unknown one.
        nearest: Option<String>,
    },
    /// A value has no TOML form.
    #[error("cannot be written as TOML: {0}")]
    TomlWrite(#[from] toml::ser::Error),
    /// A recipe's value is out of range.
    #[error("{origin}: `{field}` is {found}: expected {expected}")]
    Recipe {
        /// The file or name that the recipe came from.
        origin: String,
        /// Dotted name of the field.
        field: String,
        /// The value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A second pass that would begin with the input.
    #[error("a pass from the input on: give the engine another batch instead")]
    RunFromInput,
    /// A weight has other states than its method.
    #[error("`{name}` has the states {found:?}: expected {expected:?}, those of its method")]
    States {
        /// The layer or gate.
        name: String,
        /// The states that it has.
        found: Vec<&'static str>,
        /// Those of the method.
        expected: Vec<&'static str>,
    },
    /// Two tensors that belong together have different shapes.
    #[error("`{name}` has shape {found:?}: expected {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
    },
    /// Gates of which one lives where another is dead.
    #[error("`gate.{after}`: unit {unit} lives, but the channel that it comes from is dead")]
    GatesContradict {
        /// What the gate lies behind.
        after: String,
        /// The unit.
        unit: u32,
    },
    /// A network to start from that has gates of its own.
    #[error(
        "the network to start from has `gate.{after}`: its weights are made for it, and gates start anew"
    )]
    StartHasGates {
        /// What the gate lies behind.
        after: String,
    },
    /// A checkpoint whose bytes are not those that were written.
    #[error("{}: damaged checkpoint: {problem}", path.display())]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint of another version of this program.
    #[error("{}: checkpoint of version {found}: this program reads version {expected}", path.display())]
    CheckpointVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is read.
        expected: u32,
    },
    /// A file that is whole, but no checkpoint that this program can use.
    #[error("{}: `{field}`: {problem}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Tensor or metadata field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A run's folder holds no checkpoint that can be read.
    #[error("{}: no readable checkpoint", path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in a run's folder.
    #[error("{}: in use by another training", path.display())]
    RunInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A folder already holds a run.
    #[error("{}: holds a run already", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// The loss or a parameter is no longer a finite number.
    #[error("epoch {epoch}, step {step}: {what} is no longer finite")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// `loss`, or the name of a parameter.
        what: String,
    },
    /// A thread pool could not be started.
    #[error("{threads} threads cannot be started: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
    /// Candle could not compute something.
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
