//! What a net's outputs are and how good: a file for each loss. Training, runtime and C share it.

mod cross_entropy;
pub mod mse;

pub use cross_entropy::{Score, softmax};
pub use mse::SquaredErrors;

/// How well a net does on a set of samples, with the pruned means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evaluation {
    /// Of a net with classes.
    Classes {
        /// How many samples.
        samples: usize,
        /// How many of them got another class than their label's.
        wrong: usize,
        /// Mean cross-entropy, nats.
        nll: f64,
    },
    /// Of a net whose outputs are values.
    Values {
        /// How many samples.
        samples: usize,
        /// Mean over samples and outputs of the squared error.
        loss: f64,
    },
}

impl Evaluation {
    /// How many samples.
    pub fn samples(&self) -> usize {
        match *self {
            Self::Classes { samples, .. } | Self::Values { samples, .. } => samples,
        }
    }

    /// The number by which nets of one loss compare: the less the better.
    pub fn quality(&self) -> Quality {
        match *self {
            Self::Classes { samples, wrong, .. } => {
                Quality::Error(wrong as f64 / samples.max(1) as f64)
            }
            Self::Values { loss, .. } => Quality::Loss(loss),
        }
    }

    /// `wrong / samples`, of a net with classes.
    pub fn test_error(&self) -> Option<f64> {
        self.quality().error()
    }

    /// Mean over samples and outputs of the squared error, of a net whose outputs are values.
    pub fn test_loss(&self) -> Option<f64> {
        self.quality().loss()
    }

    /// How many samples got another class than their label's, of a net with classes.
    pub fn wrong(&self) -> Option<usize> {
        match *self {
            Self::Classes { wrong, .. } => Some(wrong),
            Self::Values { .. } => None,
        }
    }

    /// Mean cross-entropy in nats, of a net with classes.
    pub fn nll(&self) -> Option<f64> {
        match *self {
            Self::Classes { nll, .. } => Some(nll),
            Self::Values { .. } => None,
        }
    }
}

/// How good a net is, by the loss that it has: the less the better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quality {
    /// Share of the samples that got a wrong class.
    Error(f64),
    /// Mean over samples and outputs of the squared error.
    Loss(f64),
}

impl Quality {
    /// The share of wrong classes, if it is that.
    pub fn error(self) -> Option<f64> {
        match self {
            Self::Error(error) => Some(error),
            Self::Loss(_) => None,
        }
    }

    /// The mean squared error, if it is that.
    pub fn loss(self) -> Option<f64> {
        match self {
            Self::Loss(loss) => Some(loss),
            Self::Error(_) => None,
        }
    }

    /// The number.
    pub fn value(self) -> f64 {
        match self {
            Self::Error(value) | Self::Loss(value) => value,
        }
    }
}
