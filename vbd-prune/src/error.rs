//! What can go wrong in `vbd-prune`.

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `vbd-prune`. Messages are lower case and name the file and the tensor or field.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of `vbd-core`.
    #[error(transparent)]
    Core(#[from] vbd_core::Error),
    /// An error of `vbd-net`: a file, or the instruction set.
    #[error(transparent)]
    Net(#[from] vbd_net::Error),
    /// Candle could not compute something.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A variable of a model that cannot be saved, or a tensor that cannot be loaded.
    #[error("`{name}` {problem}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A file of weights where a whole net is needed.
    #[error("{}: has weights and no network", path.display())]
    NoNetwork {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A threshold that is no number.
    #[error("a threshold of {threshold} is no finite number")]
    ThresholdNotFinite {
        /// The threshold.
        threshold: f32,
    },
    /// A threshold above the training's, at which weights died for good.
    #[error(
        "a threshold of {threshold} is above the training's, {trained}: what lies between is gone"
    )]
    ThresholdAboveTraining {
        /// The threshold asked for.
        threshold: f32,
        /// The training's.
        trained: f32,
    },
    /// A threshold for weights that have no `log_sigma2` to compare with it.
    #[error(
        "a threshold of {threshold} needs log_sigma2, which {what} does not hold: its zeros are what is pruned"
    )]
    ThresholdWithoutPosterior {
        /// The threshold asked for.
        threshold: f32,
        /// The kind of file.
        what: &'static str,
    },
    /// A batch, or the dense net that it is timed on, is too large.
    #[error(
        "network `{net}` made dense needs {found} bytes for a batch of {batch}: this program times up to {most}"
    )]
    BatchTooLarge {
        /// Name of the network.
        net: String,
        /// Samples of the batch.
        batch: usize,
        /// Bytes of the dense weights and the batch's largest activations.
        found: u64,
        /// Bytes that they may take.
        most: u64,
    },
}

impl Error {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ThresholdAboveTraining { .. } => {
                Some("prune at the training's threshold or below")
            }
            Self::ThresholdWithoutPosterior { .. } => Some(
                "prune a checkpoint of a run with method vbd or vd, or with gates, or leave the threshold out",
            ),
            Self::Net(error) => error.hint(),
            _ => None,
        }
    }
}

impl Error {
    pub(crate) fn variable(name: &str, problem: String) -> Self {
        Self::Variable {
            name: name.to_owned(),
            problem,
        }
    }
}
