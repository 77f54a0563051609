//! Gaussian dropout on units (Srivastava et al. 2014; learned: Kingma et al. 2015, type A).

use super::keys::{KL, KL_WEIGHT, PRIOR, RATE, prior};
use super::{Definition, GateNoise};
use crate::method::Variational;
use crate::noise::NoiseKey;
use crate::prior::Prior;
use crate::recipe::{Key, Range, Settings, Value};

pub(super) const DEFINITION: Definition = Definition {
    keys: &[
        Key {
            meaning: "alpha = rate / (1 - rate), fixed or the initial value",
            ..RATE
        },
        Key {
            name: "learn",
            default: Value::Flag(false),
            from_trained: None,
            range: Range::Flag,
            meaning: "whether each unit's alpha is learned",
        },
        PRIOR,
        KL,
        KL_WEIGHT,
    ],
    applies: |settings, key| match key {
        "prior" | "kl_weight" => settings.flag("learn"),
        "kl" => settings.flag("learn") && settings.word("prior") == "log-uniform",
        _ => true,
    },
    build: |settings| Box::new(Gaussian::new(settings)),
};

/// The factor `1 + sqrt(alpha) eps`. `alpha = rate / (1 - rate)` is fixed, or the initial value of
/// one alpha per unit. The KL counts once per unit; nothing is pruned.
#[derive(Debug)]
struct Gaussian {
    alpha: f64,
    /// Prior of a learned alpha.
    prior: Option<Prior>,
}

impl Gaussian {
    fn new(settings: &Settings<'_>) -> Self {
        let rate = settings.number("rate");
        Self {
            alpha: rate / (1.0 - rate),
            prior: settings.flag("learn").then(|| prior(settings)),
        }
    }
}

impl GateNoise for Gaussian {
    #[expect(clippy::cast_possible_truncation, reason = "stored as f32")]
    fn posterior(&self) -> Option<Variational> {
        let prior = self.prior?;
        let most = f64::from(prior.most_log_alpha());
        let first = self.alpha.ln().clamp(-40.0, most) as f32;
        Some(Variational::never_pruned(prior, first))
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
        let (alpha, prior) = (0.25, None);
        Gaussian { alpha, prior }.draw(key, 2, &mut factors);
        let mean = factors.iter().sum::<f32>() / 4e4;
        let variance = factors.iter().map(|f| (f - mean).powi(2)).sum::<f32>() / 4e4;
        assert!(
            (mean - 1.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01,
            "{mean} {variance}"
        );
    }
}
