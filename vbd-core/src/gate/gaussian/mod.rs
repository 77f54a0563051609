//! Gaussian dropout on units (Srivastava et al. 2014; learnt: Kingma et al. 2015, type A).

use super::GateNoise;
use crate::noise::NoiseKey;
use crate::recipe::GateSetting;

/// The factor `1 + sqrt(alpha) eps`, `alpha = rate / (1 - rate)`: fixed, or where the learning of one for each unit starts.
/// Its KL counts once a unit; nothing dies by it.
pub(super) struct Gaussian {
    alpha: f64,
    is_learnt: bool,
}

impl Gaussian {
    pub(super) fn new(setting: &GateSetting) -> Self {
        let rate = setting.rate();
        Self {
            alpha: rate / (1.0 - rate),
            is_learnt: setting.learn == Some(true),
        }
    }
}

impl GateNoise for Gaussian {
    fn keys(&self) -> &'static [&'static str] {
        if self.is_learnt {
            &["rate", "learn", "prior", "kl_weight"]
        } else {
            &["rate", "learn"]
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "stored as f32")]
    fn log_sigma2(&self) -> Option<f32> {
        Some(self.alpha.ln().clamp(-40.0, 20.0) as f32)
    }

    fn is_learnt(&self) -> bool {
        self.is_learnt
    }

    #[expect(clippy::cast_possible_truncation, reason = "drawn in f32")]
    fn draw(&self, key: NoiseKey, unit: u32, factors: &mut [f32]) {
        key.fill_normal(unit, factors);
        let sigma = self.alpha.sqrt() as f32;
        for factor in factors {
            *factor = factor.mul_add(sigma, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Stream;

    #[test]
    fn factors_have_the_mean_1_and_the_variance_alpha() {
        let key = NoiseKey {
            seed: 3,
            step: 5,
            stream: Stream::Gate(1),
        };
        let mut factors = vec![0.0; 40_000];
        let (alpha, is_learnt) = (0.25, false);
        Gaussian { alpha, is_learnt }.draw(key, 2, &mut factors);
        let mean = factors.iter().sum::<f32>() / 4e4;
        let variance = factors.iter().map(|f| (f - mean).powi(2)).sum::<f32>() / 4e4;
        assert!(
            (mean - 1.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01,
            "{mean} {variance}"
        );
    }
}
