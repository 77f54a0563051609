//! Noise of layers in a user's model.

use crate::noise::{NoiseKey, Stream};

/// The noise of a training run. Each layer has its own stream, which its name determines.
///
/// ```
/// use vbd_core::layers::Noise;
///
/// let noise = Noise::new(7);
/// assert_eq!(noise.step(3), Noise::new(7).step(3)); // depends on seed and step only
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    seed: u64,
}

/// The noise of one training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepNoise {
    seed: u64,
    step: u32,
}

impl Noise {
    /// Creates the noise of a run with this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Returns the noise of a training step, counted from 0.
    pub fn step(&self, step: u32) -> StepNoise {
        StepNoise {
            seed: self.seed,
            step,
        }
    }
}

impl StepNoise {
    /// Returns the key of a layer's draws.
    pub fn key(&self, stream: Stream) -> NoiseKey {
        NoiseKey {
            seed: self.seed,
            step: self.step,
            stream,
        }
    }
}
