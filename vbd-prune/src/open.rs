//! Opens checkpoints, pruned files and run directories.

use std::path::{Path, PathBuf};

use vbd_core::train::{self, Checkpoint, RunFolder};
use vbd_net::file;
use vbd_net::spec::NetSpec;

use crate::error::{Error, Result};
use crate::weights::prune_checkpoint;
use vbd_net::format::{self, Label, PrunedFile, WeightsFile};
use vbd_net::tensor_file::RawTensor;
use vbd_net::{NetTensors, Origin, PrunedLayer, PrunedNet, SparseMatrix};

/// An opened file.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum ModelFile {
    /// A checkpoint of a run.
    Checkpoint {
        /// Path of the file; for a run directory, of its last checkpoint.
        path: PathBuf,
        /// Content of the file.
        checkpoint: Box<Checkpoint>,
        /// Size in bytes.
        bytes: u64,
    },
    /// Sparse weights by name, without a network.
    Weights {
        /// Path of the file.
        path: PathBuf,
        /// Content of the file.
        file: Box<WeightsFile>,
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
/// [`vbd_net::Error::Io`] if the file cannot be read; [`Error::Core`] if the
/// checkpoint is damaged; [`vbd_net::Error::Kind`] if the kind of the file is unknown; those of
/// [`PrunedFile::read`].
pub fn open(path: impl AsRef<Path>) -> Result<ModelFile> {
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
            Ok(ModelFile::Checkpoint {
                path,
                checkpoint,
                bytes: bytes.len() as u64,
            })
        }
        format::KIND => {
            let file = Box::new(PrunedFile::from_bytes(&bytes, &path)?);
            Ok(ModelFile::Pruned { path, file })
        }
        format::WEIGHTS_KIND => {
            let file = Box::new(WeightsFile::from_bytes(&bytes, &path)?);
            Ok(ModelFile::Weights { path, file })
        }
        _ => Err(vbd_net::Error::Kind {
            path,
            found: label.kind,
            expected: "`checkpoint`, `pruned` or `weights`",
        }
        .into()),
    }
}

fn open_run(folder: &Path) -> Result<ModelFile> {
    let last = RunFolder::open(folder)?.last_checkpoint()?;
    for (_, error) in &last.damaged {
        tracing::warn!("{error}: using the previous checkpoint");
    }
    let bytes = std::fs::metadata(&last.path)
        .map_err(vbd_core::Error::io(&last.path))?
        .len();
    Ok(ModelFile::Checkpoint {
        path: last.path,
        checkpoint: Box::new(last.checkpoint),
        bytes,
    })
}

impl ModelFile {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Checkpoint { path, .. }
            | Self::Pruned { path, .. }
            | Self::Weights { path, .. } => path,
        }
    }

    /// Returns the pruned net; a checkpoint is pruned at the training threshold.
    ///
    /// # Errors
    /// Those of [`prune_checkpoint`]; [`Error::NoNetwork`] for a weights file.
    pub fn net(&self) -> Result<PrunedNet> {
        match self {
            Self::Checkpoint { checkpoint, .. } => prune_checkpoint(checkpoint, None),
            Self::Pruned { file, .. } => Ok(file.net().clone()),
            Self::Weights { path, .. } => Err(Error::NoNetwork { path: path.clone() }),
        }
    }

    /// Returns a weights file's net for the network `spec`. Each layer gets the tensors `NAME.weight`,
    /// sparse or dense, and `NAME.bias`. For other files, returns [`ModelFile::net`].
    ///
    /// # Errors
    /// [`Error::Variable`] if the file lacks a tensor in f32; [`vbd_net::Error::Mismatch`] if one has
    /// another shape; for other files, those of [`ModelFile::net`].
    pub fn net_in(&self, spec: &NetSpec) -> Result<PrunedNet> {
        let Self::Weights { file, .. } = self else {
            return self.net();
        };
        let mut parts = NetTensors::default();
        for weight in spec.weights()? {
            let [name, bias] = ["weight", "bias"].map(|what| format!("{}.{what}", weight.layer));
            let dense = |name: &str| {
                let raw = file.others().get(name);
                let values = raw.and_then(RawTensor::to_f32);
                values.ok_or_else(|| {
                    Error::variable(name, "missing from the file as an f32 tensor".to_owned())
                })
            };
            let sparse = file.weights().iter().find(|weight| weight.name == name);
            let (shape, matrix) = if let Some(weight) = sparse {
                (weight.shape.clone(), weight.matrix.clone())
            } else {
                let values = dense(&name)?;
                let shape = file.others()[&name].shape.clone();
                let rows = shape.first().copied().unwrap_or(1);
                let sides = [rows, values.len() / rows.max(1)];
                let entries = values.into_iter().enumerate();
                (shape, SparseMatrix::from_places(sides, 0, entries))
            };
            parts.layers.push(PrunedLayer {
                name: weight.layer,
                kind: weight.kind,
                shape,
                weight: matrix,
                bias: dense(&bias)?,
            });
        }
        let origin = Origin {
            threshold: file.threshold(),
            ..Origin::default()
        };
        Ok(PrunedNet::new(spec.clone(), parts, origin)?)
    }
}
