//! Opens checkpoints, pruned files and run directories.

use std::path::{Path, PathBuf};

use vbd_core::train::{self, Checkpoint, RunFolder};
use vbd_net::file;
use vbd_net::spec::NetSpec;

use crate::error::Result;
use crate::weights::prune_checkpoint;
use vbd_net::PrunedNet;
use vbd_net::format::{self, Label, PrunedFile};

/// An opened file.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// A checkpoint of a run.
    Checkpoint {
        /// Path of the file; for a run directory, of its last checkpoint.
        path: PathBuf,
        /// Content of the file.
        checkpoint: Box<Checkpoint>,
        /// Size in bytes.
        bytes: u64,
    },
    /// A pruned net.
    Pruned {
        /// Path of the file.
        path: PathBuf,
        /// Content of the file.
        file: Box<PrunedFile>,
    },
}

/// Opens a checkpoint, a pruned file, or the newest readable checkpoint of a run directory.
///
/// # Errors
/// [`vbd_net::Error::Io`] if the file cannot be read; [`Error::Core`](crate::Error::Core) if the
/// checkpoint is damaged; [`vbd_net::Error::Kind`] if the kind of the file is unknown; those of
/// [`PrunedFile::read`].
pub fn open(path: impl AsRef<Path>) -> Result<Opened> {
    let path = path.as_ref();
    if path.is_dir() {
        return open_run(path);
    }
    let bytes = file::read(path)?;
    let label = Label::read(&bytes, path)?;
    let path = path.to_path_buf();
    match label.kind.as_str() {
        train::KIND => {
            let checkpoint = Box::new(Checkpoint::from_bytes(&bytes, &path)?);
            Ok(Opened::Checkpoint {
                path,
                checkpoint,
                bytes: bytes.len() as u64,
            })
        }
        format::KIND => {
            let file = Box::new(PrunedFile::from_bytes(&bytes, &path)?);
            Ok(Opened::Pruned { path, file })
        }
        _ => Err(vbd_net::Error::Kind {
            path,
            found: label.kind,
            expected: "`checkpoint` or `pruned`",
        }
        .into()),
    }
}

fn open_run(folder: &Path) -> Result<Opened> {
    let last = RunFolder::open(folder)?.last_checkpoint()?;
    for (_, error) in &last.damaged {
        tracing::warn!("{error}: using the previous checkpoint");
    }
    let bytes = std::fs::metadata(&last.path)
        .map_err(vbd_core::Error::io(&last.path))?
        .len();
    Ok(Opened::Checkpoint {
        path: last.path,
        checkpoint: Box::new(last.checkpoint),
        bytes,
    })
}

impl Opened {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Checkpoint { path, .. } | Self::Pruned { path, .. } => path,
        }
    }

    /// Returns the network.
    pub fn spec(&self) -> &NetSpec {
        match self {
            Self::Checkpoint { checkpoint, .. } => &checkpoint.spec,
            Self::Pruned { file, .. } => file.net().spec(),
        }
    }

    /// Returns the pruned net; of a checkpoint, at the training threshold.
    ///
    /// # Errors
    /// Those of [`prune_checkpoint`](crate::prune_checkpoint).
    pub fn net(&self) -> Result<PrunedNet> {
        match self {
            Self::Checkpoint { checkpoint, .. } => prune_checkpoint(checkpoint, None),
            Self::Pruned { file, .. } => Ok(file.net().clone()),
        }
    }
}
