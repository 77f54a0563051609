//! How a network is optimised.

use serde::{Deserialize, Serialize};

use super::check::Check;

/// The optimisation. Schedules are fractions of the run.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `epochs` | 200 | 1 to 10^6 | passes over the training samples
/// `batch_size` | 100 | 1 to 2^20 | samples a step
/// `seed` | 0 | | of every draw
/// `lr` | 1e-3 | positive | Adam's step size
/// `lr_decay_from` | 0.5 | 0 to 1 | constant before, linear to 0 after
/// `kl_warmup` | `[0.025, 0.1]` | rising, 0 to 1 | `kl_scale` is 0 before, 1 after, linear between
/// `validation` | 0 | | training samples held out, the last ones
/// `select_ratio` | 1 | at least 1 | `best` is looked for at this compression ratio or more
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Passes over the training samples.
    pub epochs: usize,
    /// Samples a step; the last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Seed of every draw of the run.
    pub seed: u64,
    /// Adam's step size at the start.
    pub lr: f64,
    /// Progress at which `lr` starts to fall.
    pub lr_decay_from: f64,
    /// Progress at which `kl_scale` starts to rise, and at which it is 1.
    #[serde(deserialize_with = "two_fractions")]
    pub kl_warmup: [f64; 2],
    /// Training samples that are held out to choose an epoch by.
    pub validation: usize,
    /// Least compression ratio of the epoch that is chosen.
    pub select_ratio: f64,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 200,
            batch_size: 100,
            seed: 0,
            lr: 1e-3,
            lr_decay_from: 0.5,
            kl_warmup: [0.025, 0.1],
            validation: 0,
            select_ratio: 1.0,
        }
    }
}

/// Two numbers, no more: an array would drop what follows.
fn two_fractions<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    let values = Vec::<f64>::deserialize(deserializer)?;
    values.try_into().map_err(|values: Vec<f64>| {
        serde::de::Error::invalid_length(values.len(), &"two fractions of the run")
    })
}

impl Train {
    /// Adam's step size at progress `t` of the run, 0 to 1.
    pub fn lr_at(&self, t: f64) -> f64 {
        if t < self.lr_decay_from {
            return self.lr;
        }
        self.lr * ((1.0 - t) / (1.0 - self.lr_decay_from)).clamp(0.0, 1.0)
    }

    /// Factor on the KL at progress `t` of the run, 0 to 1.
    ///
    /// ```
    /// let train = vbd_core::recipe::Train::default();
    /// assert_eq!(train.kl_scale_at(0.02), 0.0);
    /// assert!((train.kl_scale_at(0.0625) - 0.5).abs() < 1e-12);
    /// assert_eq!(train.kl_scale_at(0.5), 1.0);
    /// ```
    pub fn kl_scale_at(&self, t: f64) -> f64 {
        let [start, end] = self.kl_warmup;
        if t < start {
            0.0
        } else if t >= end {
            1.0
        } else {
            (t - start) / (end - start)
        }
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let [start, end] = self.kl_warmup;
        let fraction = |x: f64| (0.0..=1.0).contains(&x);
        vec![
            Check::new(
                (1..=1_000_000).contains(&self.epochs),
                "train.epochs",
                &self.epochs,
                "1 to 1000000",
            ),
            Check::new(
                (1..=1 << 20).contains(&self.batch_size),
                "train.batch_size",
                &self.batch_size,
                "1 to 1048576",
            ),
            Check::new(
                self.lr.is_finite() && self.lr > 0.0,
                "train.lr",
                &self.lr,
                "a positive number",
            ),
            Check::new(
                i64::try_from(self.seed).is_ok(),
                "train.seed",
                &self.seed,
                "less than 2^63, TOML's largest integer",
            ),
            Check::new(
                fraction(self.lr_decay_from),
                "train.lr_decay_from",
                &self.lr_decay_from,
                "a fraction of the run, 0 to 1",
            ),
            Check::new(
                fraction(start) && fraction(end) && start <= end,
                "train.kl_warmup",
                &format!("[{start}, {end}]"),
                "two rising fractions of the run, 0 to 1",
            ),
            Check::new(
                self.select_ratio >= 1.0,
                "train.select_ratio",
                &self.select_ratio,
                "1 or more",
            ),
        ]
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact values")]
mod tests {
    use super::*;

    #[test]
    fn lr_is_constant_then_falls_to_0() {
        let train = Train::default();
        assert_eq!(train.lr_at(0.4), 1e-3);
        assert!((train.lr_at(0.75) - 5e-4).abs() < 1e-12);
        assert!(train.lr_at(1.0).abs() < 1e-12);
        let linear = Train {
            lr_decay_from: 0.0,
            ..train
        };
        assert!((linear.lr_at(0.25) - 7.5e-4).abs() < 1e-12);
    }
}
