//! Interpretation and evaluation of outputs, one file per loss, shared by training, runtime and the
//! C interface.

mod calibration;
mod constancy;
mod cross_entropy;
pub mod mse;

pub use calibration::{Calibration, ConfidenceBin};
pub use constancy::Constancy;
pub use cross_entropy::{Score, softmax};
pub use mse::SquaredErrors;

/// Evaluation of a net on a set of samples, with the pruned means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evaluation {
    /// Of a classifier.
    Classes {
        /// Number of samples.
        samples: usize,
        /// Number of misclassified samples.
        wrong: usize,
        /// Mean cross-entropy in nats.
        nll: f64,
        /// Whether all samples have the same outputs.
        is_constant: bool,
    },
    /// Of a net with a squared error.
    Values {
        /// Number of samples.
        samples: usize,
        /// Squared error, averaged over samples and outputs.
        loss: f64,
        /// Whether all samples have the same outputs.
        is_constant: bool,
    },
}

impl Evaluation {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        match *self {
            Self::Classes { samples, .. } | Self::Values { samples, .. } => samples,
        }
    }

    /// Returns whether all samples, two or more, have the same outputs: the net has collapsed.
    pub fn is_constant(&self) -> bool {
        match *self {
            Self::Classes { is_constant, .. } | Self::Values { is_constant, .. } => is_constant,
        }
    }

    /// Returns the figure for comparing nets with the same loss; lower is better.
    pub fn quality(&self) -> Quality {
        match *self {
            Self::Classes { samples, wrong, .. } => {
                Quality::Error(wrong as f64 / samples.max(1) as f64)
            }
            Self::Values { loss, .. } => Quality::Loss(loss),
        }
    }

    /// Returns `wrong / samples` of a classifier.
    pub fn test_error(&self) -> Option<f64> {
        self.quality().error()
    }

    /// Returns the squared error averaged over samples and outputs, of a net with that loss.
    pub fn test_loss(&self) -> Option<f64> {
        self.quality().loss()
    }

    /// Returns the number of misclassified samples of a classifier.
    pub fn wrong(&self) -> Option<usize> {
        match *self {
            Self::Classes { wrong, .. } => Some(wrong),
            Self::Values { .. } => None,
        }
    }

    /// Returns the mean cross-entropy of a classifier, in nats.
    pub fn nll(&self) -> Option<f64> {
        match *self {
            Self::Classes { nll, .. } => Some(nll),
            Self::Values { .. } => None,
        }
    }
}

/// Error or loss of a net; lower is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quality {
    /// Fraction of misclassified samples.
    Error(f64),
    /// Squared error, averaged over samples and outputs.
    Loss(f64),
}

impl Quality {
    /// Returns the error, if the net is a classifier.
    pub fn error(self) -> Option<f64> {
        match self {
            Self::Error(error) => Some(error),
            Self::Loss(_) => None,
        }
    }

    /// Returns the mean squared error, if the net has that loss.
    pub fn loss(self) -> Option<f64> {
        match self {
            Self::Loss(loss) => Some(loss),
            Self::Error(_) => None,
        }
    }

    /// Returns the number.
    pub fn value(self) -> f64 {
        match self {
            Self::Error(value) | Self::Loss(value) => value,
        }
    }
}
