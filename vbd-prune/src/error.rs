//! The error type of `vbd-prune`.

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
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A variable of a model that cannot be saved, or a tensor that cannot be loaded.
    #[error("`{name}` {problem}")]
    Variable {
        /// Name of the variable or tensor.
        name: String,
        /// Description of the problem.
        problem: String,
    },
    /// A file has weights only where a network is needed.
    #[error("{}: file has weights but no network", path.display())]
    NoNetwork {
        /// Path of the file.
        path: std::path::PathBuf,
    },
    /// A rename that cannot be applied to a file's tensors.
    #[error("{}: --rename {problem}", path.display())]
    Rename {
        /// Path of the file.
        path: std::path::PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// A file without an image that its network normalises by.
    #[error("{}: missing tensor `{name}`: network `{net}` normalises its inputs by it", path.display())]
    NoImage {
        /// Path of the file.
        path: std::path::PathBuf,
        /// Name of the network.
        net: String,
        /// Name of the tensor.
        name: &'static str,
    },
    /// A threshold that is NaN or infinite.
    #[error("threshold must be finite, got {threshold}")]
    ThresholdNotFinite {
        /// Requested threshold.
        threshold: f32,
    },
    /// A threshold above that of the training, which removed weights for good.
    #[error(
        "threshold {threshold} is above the training threshold {trained}: weights in between no longer exist"
    )]
    ThresholdAboveTraining {
        /// Requested threshold.
        threshold: f32,
        /// Threshold of the training.
        trained: f32,
    },
    /// A threshold for weights without `log_sigma2`, which are pruned where they are zero.
    #[error("cannot apply threshold {threshold}: {what} has no log_sigma2")]
    ThresholdWithoutPosterior {
        /// Requested threshold.
        threshold: f32,
        /// Kind of file.
        what: &'static str,
    },
    /// Nothing in a file is pruned by a threshold that could be lowered.
    #[error("{}: cannot cut at other thresholds: {what}", path.display())]
    NothingToCut {
        /// Path of the file.
        path: std::path::PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A batch is too large to time on the dense network.
    #[error(
        "network `{net}` needs {found} bytes as a dense net with batch size {batch}: limit is {most}"
    )]
    BatchTooLarge {
        /// Name of the network.
        net: String,
        /// Batch size.
        batch: usize,
        /// Bytes of the dense weights and of the batch's largest activations.
        found: u64,
        /// Limit in bytes.
        most: u64,
    },
}

impl Error {
    /// Returns a hint on how to fix the error, if there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ThresholdAboveTraining { .. } => {
                Some("use the training threshold or a lower one")
            }
            Self::ThresholdWithoutPosterior { .. } => Some(
                "omit the threshold, or prune a checkpoint of a run with method vbd or vd or with gates",
            ),
            Self::NothingToCut { .. } => Some(
                "give the run or checkpoint of a training with method vbd or vd, or with gates, not the file that was pruned from it",
            ),
            Self::NoImage { .. } => Some(
                "put it in the file, f32 of the input's shape on the scale of `normalize.scale`, or give a network whose `normalize` has numbers, as the training had them",
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
