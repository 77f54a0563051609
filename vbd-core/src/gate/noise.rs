//! What a kind of gate is: the noise on each unit's factor, and what of it is learnt.

use super::{bernoulli, gaussian, normal};
use crate::noise::NoiseKey;
use crate::recipe::{GateKind, GateSetting};

/// A kind of gate with its settings. Each unit is multiplied by a factor `theta + sigma eps`, whose theta is 1 where it is not
/// learnt.
pub(crate) trait GateNoise: Send + Sync {
    /// The settings that the kind has, beside `after` and `kind`.
    fn keys(&self) -> &'static [&'static str];

    /// `log_sigma2` of every unit at first, if it is not the method's.
    fn log_sigma2(&self) -> Option<f32> {
        None
    }

    /// Whether theta is learnt, and units over the threshold die. What does neither is noise alone: nothing is left
    /// of it at test and in a pruned file.
    fn prunes(&self) -> bool {
        false
    }

    /// Whether `log_sigma2` is learnt, and has a KL.
    fn is_learnt(&self) -> bool {
        false
    }

    /// Draws the factors of a unit for each sample, where nothing is learnt.
    ///
    /// # Shapes
    /// - `factors`: `[samples]`
    fn draw(&self, key: NoiseKey, unit: u32, factors: &mut [f32]);
}

/// The table of the kinds of gate.
pub(crate) fn noise(setting: &GateSetting) -> Box<dyn GateNoise> {
    match setting.kind {
        GateKind::Normal => Box::new(normal::Normal),
        GateKind::Bernoulli => Box::new(bernoulli::Bernoulli::new(setting)),
        GateKind::Gaussian => Box::new(gaussian::Gaussian::new(setting)),
    }
}
