//! A posterior for each unit's factor, by which units die (Liu et al. 2019, eq. 19).

use super::GateNoise;
use crate::noise::NoiseKey;

/// Theta and `log_sigma2` of each unit are learnt.
pub(super) struct Normal;

impl GateNoise for Normal {
    fn keys(&self) -> &'static [&'static str] {
        &["prior", "kl_weight", "log_alpha_threshold"]
    }

    fn prunes(&self) -> bool {
        true
    }

    fn is_learnt(&self) -> bool {
        true
    }

    fn draw(&self, key: NoiseKey, unit: u32, factors: &mut [f32]) {
        key.fill_normal(unit, factors);
    }
}
