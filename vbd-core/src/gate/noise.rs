//! What a kind of gate is: the noise on each unit's factor, and what of it is learnt.

use std::fmt::Debug;

use crate::method::Variational;
use crate::noise::NoiseKey;

/// A kind of gate with its settings. Each unit is multiplied by a factor `theta + sigma eps`, whose theta is 1 where it is not
/// learnt.
pub(crate) trait GateNoise: Debug + Send + Sync {
    /// The posterior of each unit's factor, where something of it is learnt.
    fn posterior(&self) -> Option<Variational> {
        None
    }

    /// Whether theta is learnt, and units over the threshold die. What does neither is noise alone: nothing is left
    /// of it at test and in a pruned file.
    fn prunes(&self) -> bool {
        false
    }

    /// Draws the factors of a unit for each sample, where nothing is learnt.
    ///
    /// # Shapes
    /// - `factors`: `[samples]`
    fn draw(&self, key: NoiseKey, unit: u32, factors: &mut [f32]);
}
