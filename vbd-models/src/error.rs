//! The error type of `vbd-models`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::picture::DecodeError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `vbd-models`. Messages are lower case and name the file, the field and the
/// expected value.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of `vbd-core`.
    #[error(transparent)]
    Core(#[from] vbd_core::Error),
    /// An error of `vbd-net`: a file, or a data set.
    #[error(transparent)]
    Net(#[from] vbd_net::Error),
    /// An IDX file is invalid.
    #[error("{}: {field} is {found}: expected {expected}", path.display())]
    Idx {
        /// Path of the file.
        path: PathBuf,
        /// Part of the file.
        field: &'static str,
        /// Value found.
        found: String,
        /// Expected value.
        expected: String,
    },
    /// A file of another format is invalid.
    #[error("{}: {field} is {found}: expected {expected}", path.display())]
    DataFile {
        /// Path of the file.
        path: PathBuf,
        /// Part of the file.
        field: String,
        /// Value found.
        found: String,
        /// Expected value.
        expected: String,
    },
    /// A sweep contradicts itself.
    #[error("{origin}: {problem}")]
    Sweep {
        /// Name of the sweep's file.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// A picture cannot be read, or shows nothing.
    #[error("{}: {problem}", path.display())]
    Picture {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        problem: DecodeError,
    },
    /// Unpacking a gzipped file failed.
    #[error("{}: damaged gzip data: {source}", path.display())]
    Gzip {
        /// Path of the file.
        path: PathBuf,
        /// Error of the decoder.
        source: std::io::Error,
    },
    /// An array of a numpy archive is invalid.
    #[error("{}: `{array}`: {field} is {found}: expected {expected}", path.display())]
    Npz {
        /// Path of the file.
        path: PathBuf,
        /// Name of the array.
        array: String,
        /// Part of the array.
        field: &'static str,
        /// Value found.
        found: String,
        /// Expected value.
        expected: String,
    },
    /// A numpy archive is damaged, or another file.
    #[error("{}: not a whole numpy archive: {}", path.display(), kind.map_or_else(|| source.to_string(), |kind| format!("this is {kind}")))]
    Zip {
        /// Path of the file.
        path: PathBuf,
        /// Error of the decoder.
        source: zip::result::ZipError,
        /// What the file is instead, if known.
        kind: Option<&'static str>,
    },
    /// A file is there in two forms with different content.
    #[error("{} and {}: the same file with different content: remove one", first.display(), other.display())]
    TwoForms {
        /// Path of the first form.
        first: PathBuf,
        /// Path of the other form.
        other: PathBuf,
    },
    /// A directory lacks IDX files.
    #[error("{}: missing {} (optionally with .gz)", folder.display(), quoted(missing, " and "))]
    NoIdxFiles {
        /// Path of the directory.
        folder: PathBuf,
        /// Names of the missing files.
        missing: Vec<&'static str>,
    },
    /// A directory has some files of a named data set, but not all.
    #[error("{}: missing {}", folder.display(), quoted(missing, " and "))]
    MissingFiles {
        /// Path of the directory.
        folder: PathBuf,
        /// Names of the missing files.
        missing: Vec<&'static str>,
    },
    /// The files of a named data set were not found.
    #[error(
        "data set `{name}`: {files} not found{}: set --data-dir DIR or VBD_DATA_DIR to the \
         directory that has them (DIR/{name}/ or DIR/), or use your own data (idx:FOLDER, npz:FILE, \
         images:FOLDER) or the built-in set digits",
        places(looked_in)
    )]
    DataNotFound {
        /// Name of the data set.
        name: &'static str,
        /// What is looked for, such as `IDX files`.
        files: &'static str,
        /// Directories that were searched.
        looked_in: Vec<PathBuf>,
    },
    /// The files of a named data set were not found, and not had from the hub either.
    #[cfg(feature = "hub")]
    #[error(
        "data set `{name}`: {files} not found{}, and not fetched from the hub: {source}",
        places(looked_in)
    )]
    DataNotFetched {
        /// Name of the data set.
        name: &'static str,
        /// What is looked for, such as `IDX files`.
        files: &'static str,
        /// Directories that were searched.
        looked_in: Vec<PathBuf>,
        /// Why the hub did not give it.
        source: Box<Error>,
    },
    /// A file could not be had from the hub, or put there.
    #[cfg(feature = "hub")]
    #[error("{address}: {problem}")]
    Hub {
        /// Address of the file or repository.
        address: String,
        /// What went wrong.
        problem: Box<crate::hub::HubProblem>,
    },
    /// A data set was given by the path of a directory that does not exist.
    #[error("data set `{name}`: {problem}")]
    NoFolder {
        /// The path, as given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Unknown name of a data set, network or recipe.
    #[error(
        "unknown {kind} `{name}`: the nearest is `{nearest}`, expected one of {}",
        quoted(known, ", ")
    )]
    Unknown {
        /// `data set`, `network` or `recipe`.
        kind: &'static str,
        /// Unknown name.
        name: String,
        /// Most similar known name.
        nearest: &'static str,
        /// All known names.
        known: Vec<&'static str>,
    },
}

impl Error {
    /// Returns [`Error::Unknown`] for a name that is not among the `known`.
    pub(crate) fn unknown(
        kind: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        let likeness = |known: &&&str| strsim::jaro_winkler(name, known);
        let nearest = known
            .iter()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest = nearest.copied().unwrap_or_default();
        Self::Unknown {
            kind,
            name: name.to_owned(),
            nearest,
            known,
        }
    }

    /// Adds the address to a problem with the hub.
    #[cfg(feature = "hub")]
    pub(crate) fn hub(address: &dyn std::fmt::Display, problem: crate::hub::HubProblem) -> Self {
        Self::Hub {
            address: address.to_string(),
            problem: Box::new(problem),
        }
    }

    /// Adds the path to an error of a picture.
    pub(crate) fn picture(path: &Path) -> impl FnOnce(DecodeError) -> Self {
        move |problem| Self::Picture {
            path: path.to_owned(),
            problem,
        }
    }

    /// Adds the path to an error of the file system.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Net(vbd_net::Error::io(path)(source))
    }
}

fn quoted(names: &[&str], between: &str) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(between)
}

fn places(folders: &[PathBuf]) -> String {
    let mut text = String::new();
    for (index, folder) in folders.iter().enumerate() {
        let word = if index == 0 { " in" } else { " or" };
        let _ = write!(text, "{word} {}", folder.display());
    }
    text
}
