//! What can go wrong in `vbd-net`.

use std::path::PathBuf;

use crate::simd::UnknownInstructionSet;

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
    /// `VBD_SIMD` names an instruction set that this machine lacks.
    #[error(transparent)]
    InstructionSet(#[from] UnknownInstructionSet),
}

impl Error {
    /// Adds the path to an error of the file system.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
