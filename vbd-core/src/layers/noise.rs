//! Where the layers of a caller's own model draw their noise.

use crate::noise::{NoiseKey, Stream};

/// The noise of a training run. Each layer draws from a stream of its own, by its name.
///
/// ```
/// use vbd_core::layers::Noise;
///
/// let noise = Noise::new(7);
/// assert_eq!(noise.step(3), Noise::new(7).step(3)); // a function of seed and step alone
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
    /// The noise of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The noise of a training step, counted from 0.
    pub fn step(&self, step: u32) -> StepNoise {
        StepNoise {
            seed: self.seed,
            step,
        }
    }
}

impl StepNoise {
    /// The key of a layer's draws.
    pub fn key(&self, stream: Stream) -> NoiseKey {
        NoiseKey {
            seed: self.seed,
            step: self.step,
            stream,
        }
    }
}
