//! Optimisation of a recipe.

use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::optim::Optimizer;

/// The optimisation. Schedules are fractions of the run.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `epochs` | 200 | 1 to 10^6 | number of passes over the training samples
/// `batch_size` | 100 | 1 to 2^20 | samples per step
/// `seed` | 0 | | random seed
/// `optimizer` | `adam` | `adam`, `sgd` | optimiser
/// `momentum` | 0.9 | 0 to 1, excluding 1 | `sgd`: momentum
/// `weight_decay` | 0 | at least 0 | `sgd`: L2 penalty, added to the gradients of weights and biases
/// `lr` | 1e-3 | positive | learning rate
/// `lr_schedule` | `linear` | see [`Schedule`] | how the learning rate decays
/// `lr_decay_from` | 0.5 | 0 to 1 | `linear`: constant before, linear to 0 after
/// `lr_steps` | | increasing, 0 to 1 | `steps`: where the learning rate is multiplied by `lr_factor`
/// `lr_factor` | 0.1 | 0 to 1 | `steps`: factor at each of `lr_steps`
/// `lr_gamma` | 1e-4 | at least 0 | `inverse`: `lr (1 + lr_gamma i)^-lr_power` at step i
/// `lr_power` | 0.75 | at least 0 | `inverse`: the same
/// `kl_warmup` | `[0.025, 0.1]` | increasing, 0 to 1 | `kl_scale` is 0 before, 1 after, linear between
/// `validation` | 0 | | number of training samples held out, taken from the end
/// `test` | true | `true`, `false` | whether the test samples are evaluated after each epoch; without, `validation` is required
/// `select_ratio` | 1 | at least 1 | `best` is chosen among epochs with at least this compression ratio
/// `stop_on_collapse` | false | `true`, `false` | whether the run ends after an epoch with a constant output
/// `augment` | | a table | random changes of training images, see [`AugmentSetting`]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Number of passes over the training samples.
    pub epochs: usize,
    /// Samples per step; the last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Random seed.
    pub seed: u64,
    /// Optimiser.
    pub optimizer: OptimizerKind,
    /// Momentum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// L2 penalty, added to the gradients of weights and biases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Initial learning rate.
    pub lr: f64,
    /// Schedule of the learning rate.
    pub lr_schedule: Schedule,
    /// Progress at which the learning rate is multiplied by `lr_factor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_steps: Option<Vec<f64>>,
    /// Factor at each of `lr_steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_factor: Option<f64>,
    /// Rate of the inverse schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_gamma: Option<f64>,
    /// Power of the inverse schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_power: Option<f64>,
    /// Progress at which the learning rate starts to decay.
    pub lr_decay_from: f64,
    /// Progress at which `kl_scale` starts to increase, and at which it reaches 1.
    #[serde(deserialize_with = "two_fractions")]
    pub kl_warmup: [f64; 2],
    /// Number of training samples held out to choose an epoch.
    pub validation: usize,
    /// Whether the test samples are evaluated.
    #[serde(skip_serializing_if = "is_true")]
    pub test: bool,
    /// Minimum compression ratio of the chosen epoch.
    pub select_ratio: f64,
    /// Whether the run ends after an epoch whose outputs are the same for every test sample.
    pub stop_on_collapse: bool,
    /// Random changes of training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<AugmentSetting>,
}

/// Random changes of training images, the crop first, then the flip: see
/// [`CropFlip`](crate::data::CropFlip).
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `crop` | 0 | less than an image's rows and columns | zeros added on each side before a crop of the first size
/// `flip` | false | `true`, `false` | whether half of the images are mirrored left to right
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentSetting {
    /// Zeros added on each side, in pixels, before a crop of the first size.
    pub crop: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
}

/// Kind of optimiser.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba 2015).
    #[default]
    Adam,
    /// Gradient descent with momentum and weight decay.
    Sgd,
}

/// Schedule of the learning rate.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Constant up to `lr_decay_from`, then linear to 0.
    #[default]
    Linear,
    /// Multiplied by `lr_factor` at each of `lr_steps`.
    Steps,
    /// `lr (1 + lr_gamma i)^-lr_power` at step i.
    Inverse,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(flag: &bool) -> bool {
    *flag
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 200,
            batch_size: 100,
            seed: 0,
            optimizer: OptimizerKind::default(),
            momentum: None,
            weight_decay: None,
            lr: 1e-3,
            lr_schedule: Schedule::default(),
            lr_steps: None,
            lr_factor: None,
            lr_gamma: None,
            lr_power: None,
            lr_decay_from: 0.5,
            kl_warmup: [0.025, 0.1],
            validation: 0,
            test: true,
            select_ratio: 1.0,
            stop_on_collapse: false,
            augment: None,
        }
    }
}

/// Deserialises exactly two numbers; an array would ignore further ones.
fn two_fractions<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    let values = Vec::<f64>::deserialize(deserializer)?;
    values.try_into().map_err(|values: Vec<f64>| {
        serde::de::Error::invalid_length(values.len(), &"two fractions of the run")
    })
}

impl Train {
    /// Returns the optimiser with its settings.
    pub fn optimizer(&self) -> Optimizer {
        match self.optimizer {
            OptimizerKind::Adam => Optimizer::Adam,
            OptimizerKind::Sgd => Optimizer::Sgd {
                momentum: self.momentum.unwrap_or(0.9),
                weight_decay: self.weight_decay.unwrap_or(0.0),
            },
        }
    }

    /// Returns the learning rate at progress `t` of the run, 0 to 1, and step `step`.
    pub fn lr_at(&self, t: f64, step: u32) -> f64 {
        match self.lr_schedule {
            Schedule::Linear if t < self.lr_decay_from => self.lr,
            Schedule::Linear => self.lr * ((1.0 - t) / (1.0 - self.lr_decay_from)).clamp(0.0, 1.0),
            Schedule::Steps => {
                let steps = self.lr_steps.iter().flatten();
                let passed = steps.filter(|&&at| t >= at);
                let factor = self.lr_factor.unwrap_or(0.1);
                passed.fold(self.lr, |lr, _| lr * factor)
            }
            Schedule::Inverse => {
                let gamma = self.lr_gamma.unwrap_or(1e-4);
                let power = self.lr_power.unwrap_or(0.75);
                self.lr * (1.0 + gamma * f64::from(step)).powf(-power)
            }
        }
    }

    /// Checks that every given key applies to the optimiser and the schedule.
    fn surplus(&self) -> Vec<Check> {
        let sgd = self.optimizer == OptimizerKind::Sgd;
        let [steps, inverse] =
            [Schedule::Steps, Schedule::Inverse].map(|kind| self.lr_schedule == kind);
        let keys = [
            (
                "train.momentum",
                self.momentum.is_some(),
                sgd,
                "`optimizer = \"sgd\"`",
            ),
            (
                "train.weight_decay",
                self.weight_decay.is_some(),
                sgd,
                "`optimizer = \"sgd\"`",
            ),
            (
                "train.lr_steps",
                self.lr_steps.is_some(),
                steps,
                "`lr_schedule = \"steps\"`",
            ),
            (
                "train.lr_factor",
                self.lr_factor.is_some(),
                steps,
                "`lr_schedule = \"steps\"`",
            ),
            (
                "train.lr_gamma",
                self.lr_gamma.is_some(),
                inverse,
                "`lr_schedule = \"inverse\"`",
            ),
            (
                "train.lr_power",
                self.lr_power.is_some(),
                inverse,
                "`lr_schedule = \"inverse\"`",
            ),
        ];
        let check = |(field, is_given, has, expected): (_, bool, bool, _)| {
            Check::new(!is_given || has, field, &"given", expected)
        };
        keys.into_iter().map(check).collect()
    }

    /// Returns the factor on the KL at progress `t` of the run, 0 to 1.
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
        let at_least_0 = |x: Option<f64>| x.is_none_or(|x| x.is_finite() && x >= 0.0);
        let steps = self.lr_steps.as_deref().unwrap_or_default();
        let mut checks = self.surplus();
        checks.extend([
            Check::new(
                (0.0..1.0).contains(&self.momentum.unwrap_or_default()),
                "train.momentum",
                &self.momentum.unwrap_or_default(),
                "0 to 1, excluding 1",
            ),
            Check::new(
                at_least_0(self.weight_decay),
                "train.weight_decay",
                &self.weight_decay.unwrap_or_default(),
                "0 or more",
            ),
            Check::new(
                self.lr_schedule != Schedule::Steps || !steps.is_empty(),
                "train.lr_steps",
                &"missing",
                "one or more fractions of the run with `lr_schedule = \"steps\"`",
            ),
            Check::new(
                steps.iter().all(|&at| fraction(at)) && steps.is_sorted(),
                "train.lr_steps",
                &format!("{steps:?}"),
                "increasing fractions of the run, 0 to 1",
            ),
            Check::new(
                fraction(self.lr_factor.unwrap_or_default()),
                "train.lr_factor",
                &self.lr_factor.unwrap_or_default(),
                "0 to 1",
            ),
            Check::new(
                at_least_0(self.lr_gamma) && at_least_0(self.lr_power),
                "train.lr_gamma",
                &format!("{:?}, or lr_power {:?}", self.lr_gamma, self.lr_power),
                "0 or more for both",
            ),
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
                "two increasing fractions of the run, 0 to 1",
            ),
            Check::new(
                self.test || self.validation > 0,
                "train.test",
                &"false",
                "`train.validation` with it: something must be evaluated",
            ),
            Check::new(
                self.select_ratio >= 1.0,
                "train.select_ratio",
                &self.select_ratio,
                "1 or more",
            ),
        ]);
        checks
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact values")]
mod tests {
    use super::*;

    #[test]
    fn lr_is_constant_then_falls_to_0() {
        let train = Train::default();
        assert_eq!(train.lr_at(0.4, 0), 1e-3);
        assert!((train.lr_at(0.75, 0) - 5e-4).abs() < 1e-12);
        assert!(train.lr_at(1.0, 0).abs() < 1e-12);
        let linear = Train {
            lr_decay_from: 0.0,
            ..train
        };
        assert!((linear.lr_at(0.25, 0) - 7.5e-4).abs() < 1e-12);
    }

    #[test]
    fn steps_and_inverse_schedules_fall_as_they_say() {
        let steps = Train {
            lr_schedule: Schedule::Steps,
            lr_steps: Some(vec![0.5, 0.75]),
            lr: 1.0,
            ..Train::default()
        };
        let at = |t| steps.lr_at(t, 0);
        assert_eq!([at(0.4), at(0.5)], [1.0, 0.1]);
        assert!((at(0.9) - 0.01).abs() < 1e-15);
        let inverse = Train {
            lr_schedule: Schedule::Inverse,
            lr: 2.0,
            ..Train::default()
        };
        let expected = 2.0 * 2.0_f64.powf(-0.75);
        assert!((inverse.lr_at(0.1, 10_000) - expected).abs() < 1e-12);
    }
}
