//! Opening whatever this program writes: a checkpoint, a pruned file, or a run's folder.

use std::path::{Path, PathBuf};

use vbd_core::spec::NetSpec;
use vbd_core::train::{self, Checkpoint, RunFolder};
use vbd_core::{file, tensor_file};

use crate::error::{Error, Result};
use crate::format::metadata::Label;
use crate::format::{self, PrunedFile};
use crate::net::PrunedNet;

/// A file of this program, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// A run between two steps.
    Checkpoint {
        /// The file; in a run's folder, its last checkpoint.
        path: PathBuf,
        /// What it holds.
        checkpoint: Box<Checkpoint>,
        /// Its size.
        bytes: u64,
    },
    /// A pruned net.
    Pruned {
        /// The file.
        path: PathBuf,
        /// What it holds.
        file: Box<PrunedFile>,
    },
}

/// Opens a checkpoint, a pruned file, or a run's folder, which stands for its newest checkpoint that
/// can be read.
///
/// # Errors
/// [`Error::Net`] if there is no such file; [`Error::Core`] if the checkpoint is damaged; [`Error::Kind`] if the
/// file is of a kind that this program does not know; else as [`PrunedFile::read`].
pub fn open(path: impl AsRef<Path>) -> Result<Opened> {
    let path = path.as_ref();
    if path.is_dir() {
        return open_run(path);
    }
    let bytes = file::read(path)?;
    let (_, json) = tensor_file::from_bytes(&bytes).map_err(|source| Error::TensorFile {
        path: path.to_path_buf(),
        source,
    })?;
    let label: Label = serde_json::from_str(&json).map_err(|source| Error::Metadata {
        path: path.to_path_buf(),
        source,
    })?;
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
        _ => Err(Error::Kind {
            path,
            found: label.kind,
            expected: "`checkpoint` or `pruned`",
        }),
    }
}

fn open_run(folder: &Path) -> Result<Opened> {
    let last = RunFolder::open(folder)?.last_checkpoint()?;
    for (_, error) in &last.damaged {
        tracing::warn!("{error}: using the checkpoint before it");
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
    /// The file that was read.
    pub fn path(&self) -> &Path {
        match self {
            Self::Checkpoint { path, .. } | Self::Pruned { path, .. } => path,
        }
    }

    /// The network.
    pub fn spec(&self) -> &NetSpec {
        match self {
            Self::Checkpoint { checkpoint, .. } => &checkpoint.spec,
            Self::Pruned { file, .. } => file.net().spec(),
        }
    }

    /// The net with what is kept: of a checkpoint, at the training's threshold.
    ///
    /// # Errors
    /// As [`PrunedNet::from_checkpoint`].
    pub fn net(&self) -> Result<PrunedNet> {
        match self {
            Self::Checkpoint { checkpoint, .. } => PrunedNet::from_checkpoint(checkpoint, None),
            Self::Pruned { file, .. } => Ok(file.net().clone()),
        }
    }
}
