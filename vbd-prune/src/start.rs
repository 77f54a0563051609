//! Files that a training can start from.

use std::path::{Path, PathBuf};

use vbd_core::train::Start;
use vbd_net::file;
use vbd_net::format::WeightsFile;
use vbd_net::spec::NetSpec;
use vbd_net::tensor_file::{self, RawTensor, TensorFileError, Tensors};

use crate::error::{Error, Result};
use crate::open::{ModelFile, open};

/// A file or run directory that a training can start from.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum StartFile {
    /// A checkpoint or a pruned net, with its network.
    Net(Box<Start>),
    /// Tensors by name, without a network: a PyTorch state dict, or a weights file.
    Tensors {
        /// Path of the file.
        path: PathBuf,
        /// The tensors, dense.
        tensors: Tensors,
    },
}

impl StartFile {
    /// Opens a run directory, a file of this workspace, or a safetensors file with dense tensors.
    ///
    /// # Errors
    /// Those of [`open`], except for safetensors files of other programs; [`Error::Core`] if the
    /// network of a pruned file cannot be trained.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let opened = match open(path) {
            Err(Error::Net(vbd_net::Error::TensorFile {
                source: TensorFileError::NoMetadata,
                ..
            })) => {
                let tensors = read_tensors(path)?;
                let path = path.to_path_buf();
                return Ok(Self::Tensors { path, tensors });
            }
            opened => opened?,
        };
        let origin = opened.path().display().to_string();
        Ok(match opened {
            ModelFile::Checkpoint { checkpoint, .. } => {
                Self::Net(Box::new(Start::from_checkpoint(*checkpoint, origin)?))
            }
            ModelFile::Pruned { file, .. } => {
                Self::Net(Box::new(Start::from_pruned(file.net(), origin)?))
            }
            ModelFile::Weights { path, file } => Self::Tensors {
                path,
                tensors: dense(&file),
            },
        })
    }

    /// Returns the start under another name, which runs record.
    #[must_use]
    pub fn named(self, name: &Path) -> Self {
        match self {
            Self::Net(start) => Self::Net(Box::new(Start {
                origin: name.display().to_string(),
                ..*start
            })),
            Self::Tensors { tensors, .. } => Self::Tensors {
                path: name.to_path_buf(),
                tensors,
            },
        }
    }

    /// Returns the file's network, if it has one.
    pub fn spec(&self) -> Option<&NetSpec> {
        match self {
            Self::Net(start) => Some(&start.spec),
            Self::Tensors { .. } => None,
        }
    }

    /// Returns the file's own network if it was changed by pruning, so that `spec` does not fit it:
    /// batch normalisations are folded, or units are gone.
    ///
    /// # Errors
    /// [`Error::Core`] if `spec` is invalid.
    pub fn pruned_spec(&self, spec: &NetSpec) -> Result<Option<&NetSpec>> {
        match self {
            Self::Net(start) if start.is_pruned && !start.fits(spec)? => Ok(Some(&start.spec)),
            _ => Ok(None),
        }
    }

    /// Returns what a run of the network `spec` starts from.
    ///
    /// # Errors
    /// [`Error::Core`] if tensors do not match the network.
    pub fn into_start(self, spec: &NetSpec) -> Result<Start> {
        Ok(match self {
            Self::Net(start) => *start,
            Self::Tensors { path, tensors } => Start::from_state_dict(spec, tensors, &path)?,
        })
    }
}

/// Reads the tensors of any safetensors file.
pub(crate) fn read_tensors(path: &Path) -> Result<Tensors> {
    let tensors = tensor_file::tensors_of(&file::read(path)?);
    Ok(tensors.map_err(|source| vbd_net::Error::TensorFile {
        path: path.to_path_buf(),
        source,
    })?)
}

/// Returns the tensors of a weights file, with its sparse weights as dense ones.
fn dense(file: &WeightsFile) -> Tensors {
    let mut tensors = file.others().clone();
    for weight in file.weights() {
        let values = weight.matrix.to_dense();
        let raw = RawTensor::f32(&weight.shape, &values);
        tensors.insert(weight.name.clone(), raw);
    }
    tensors
}
