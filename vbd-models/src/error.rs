//! What can go wrong in `vbd-models`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `vbd-models`. Messages are lower case, name the file and the field, and say what
/// would be right.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of `vbd-core`.
    #[error(transparent)]
    Core(#[from] vbd_core::Error),
    /// An error of `vbd-net`: a file, or a data set.
    #[error(transparent)]
    Net(#[from] vbd_net::Error),
    /// An IDX file is not what it should be.
    #[error("{}: {field} is {found}: expected {expected}", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// The part of the file.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A gzipped file cannot be unpacked.
    #[error("{}: the gzip data are damaged: {source}", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        source: std::io::Error,
    },
    /// A folder lacks IDX files.
    #[error("{}: no {} (each may end in .gz)", folder.display(), quoted(missing, " and no "))]
    NoIdxFiles {
        /// The folder.
        folder: PathBuf,
        /// The names of the files that it lacks.
        missing: Vec<&'static str>,
    },
    /// The files of a named data set are nowhere.
    #[error(
        "data set `{name}`: its IDX files were not found{}: give their folder with --data-dir DIR \
         or VBD_DATA_DIR (DIR/{name}/ or DIR/), name any folder of such files as idx:FOLDER, or \
         take the built-in set, digits",
        places(looked_in)
    )]
    DataNotFound {
        /// Name of the data set.
        name: &'static str,
        /// Every folder that was looked into.
        looked_in: Vec<PathBuf>,
    },
    /// There is no data set, network or recipe of this name.
    #[error(
        "unknown {kind} `{name}`: the nearest is `{nearest}`, known are {}",
        quoted(known, ", ")
    )]
    Unknown {
        /// `data set`, `network` or `recipe`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The known name nearest to it.
        nearest: &'static str,
        /// Every known name.
        known: Vec<&'static str>,
    },
}

impl Error {
    /// The error for a name that is not among the `known`.
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
