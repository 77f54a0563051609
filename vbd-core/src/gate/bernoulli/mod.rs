//! Dropout (Hinton et al. 2012): a unit is 0 with probability `rate`, else divided by `1 - rate`.

use super::keys::RATE;
use super::{Definition, GateNoise};
use crate::noise::NoiseKey;
use crate::recipe::{Key, Range};

pub(super) const DEFINITION: Definition = Definition {
    keys: &[Key {
        range: Range::Number {
            least: 0.0,
            most: 1.0 - f64::EPSILON,
            words: "0 to 1, excluding 1",
        },
        ..RATE
    }],
    applies: |_, _| true,
    build: |settings| {
        let rate = settings.number("rate");
        Box::new(Bernoulli { rate })
    },
};

/// The factor `d / (1 - p)` with a draw `d` per sample and unit: mean 1, variance `p / (1 - p)`.
#[derive(Debug)]
struct Bernoulli {
    rate: f64,
}

impl GateNoise for Bernoulli {
    #[expect(clippy::cast_possible_truncation, reason = "drawn in f32")]
    fn draw(&self, key: NoiseKey, unit: u32, factors: &mut [f32]) {
        key.fill_uniform(unit, factors);
        let (rate, left) = (self.rate as f32, (1.0 / (1.0 - self.rate)) as f32);
        for factor in factors {
            // Draws are in (0, 1].
            *factor = if *factor > rate { left } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Stream;

    #[test]
    fn units_are_dropped_at_the_rate_and_the_mean_stays() {
        let key = NoiseKey {
            seed: 3,
            step: 5,
            stream: Stream::Gate(1),
        };
        let mut factors = vec![0.0; 40_000];
        Bernoulli { rate: 0.8 }.draw(key, 2, &mut factors);
        let dropped = factors.iter().filter(|&&factor| factor == 0.0).count();
        assert!((dropped as f32 / 4e4 - 0.8).abs() < 0.01, "{dropped}");
        assert!(
            factors
                .iter()
                .all(|&factor| factor == 0.0 || (factor - 5.0).abs() < 1e-5)
        );
    }
}
