//! Noise of a gate: the distribution of each unit's factor and its learned parameters.

use std::fmt::Debug;

use crate::method::Variational;
use crate::noise::NoiseKey;

/// A kind of gate with its settings. Each unit is multiplied by a factor `theta + sigma eps`; theta
/// is 1 unless learned.
pub(crate) trait GateNoise: Debug + Send + Sync {
    /// Returns the posterior of each unit's factor, if anything is learned.
    fn posterior(&self) -> Option<Variational> {
        None
    }

    /// Returns whether theta is learned and units above the threshold die. Otherwise the gate is
    /// absent at test time and in the pruned file.
    fn prunes(&self) -> bool {
        false
    }

    /// Draws the factors of a unit for each sample, for gates without learned parameters.
    ///
    /// # Shapes
    /// - `factors`: `[samples]`
    fn draw(&self, key: NoiseKey, unit: u32, factors: &mut [f32]);
}
