//! Opening whatever this program writes: a checkpoint, a pruned file, or a run's folder.

use std::path::{Path, PathBuf};

use vbd_core::train::{self, Checkpoint, RunFolder};
use vbd_net::file;
use vbd_net::spec::NetSpec;

use crate::error::Result;
use crate::weights::prune_checkpoint;
use vbd_net::PrunedNet;
use vbd_net::format::{self, Label, PrunedFile};

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
/// [`vbd_net::Error::Io`] if there is no such file; [`Error::Core`](crate::Error::Core) if the checkpoint is damaged; [`vbd_net::Error::Kind`] if the
/// file is of a kind that this program does not know; else as [`PrunedFile::read`].
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
    /// As [`prune_checkpoint`](crate::prune_checkpoint).
    pub fn net(&self) -> Result<PrunedNet> {
        match self {
            Self::Checkpoint { checkpoint, .. } => prune_checkpoint(checkpoint, None),
            Self::Pruned { file, .. } => Ok(file.net().clone()),
        }
    }
}
