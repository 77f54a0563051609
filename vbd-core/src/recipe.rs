//! A recipe: how a network is trained, as data (`vbd-models/recipes`, or a user's own TOML file).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::prior::Prior;
use crate::toml_file;

/// Everything that a run depends on but the data and the network's layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One line for lists.
    pub summary: String,
    /// Name of a network, or path of its TOML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What is learnt about each weight.
    pub method: Method,
    /// How it is learnt.
    #[serde(default)]
    pub train: Train,
}

/// The posterior and its prior.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `kind` | | `vbd`, `vd`, `dense` | prior of the weights; `dense` has no noise
/// `log_alpha_threshold` | 3 | finite | weights at or over it are pruned
/// `log_sigma2_init` | -10 | -40 to 20 | first `log_sigma2`
/// `theta_init` | `he` | `he`, `normal(S)` | first theta: normal, of deviation `sqrt(2 / fan_in)` or S
/// `kl_weight` | 1 | not negative | factor on the KL; other than 1 it is a tempered posterior
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// The prior.
    pub kind: MethodKind,
    /// Weights at this `log_alpha` or over it are pruned.
    #[serde(default = "default::log_alpha_threshold")]
    pub log_alpha_threshold: f32,
    /// First value of every `log_sigma2`.
    #[serde(default = "default::log_sigma2_init")]
    pub log_sigma2_init: f32,
    /// How theta is drawn.
    #[serde(default)]
    pub theta_init: ThetaInit,
    /// Factor on the KL.
    #[serde(default = "default::kl_weight")]
    pub kl_weight: f64,
}

/// The kinds of method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// Variational Bayesian dropout: the hierarchical prior.
    Vbd,
    /// Sparse variational dropout: the log-uniform prior.
    Vd,
    /// Plain training without noise, for comparison.
    Dense,
}

impl MethodKind {
    /// The prior of the weights; `None` where they have no posterior.
    pub fn prior(self) -> Option<Prior> {
        match self {
            Self::Vbd => Some(Prior::Hierarchical),
            Self::Vd => Some(Prior::LogUniform),
            Self::Dense => None,
        }
    }
}

/// The distribution that first thetas are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ThetaInit {
    /// Normal with variance `2 / fan_in` (He et al. 2015).
    #[default]
    He,
    /// Normal with this standard deviation.
    Normal(f32),
}

impl ThetaInit {
    /// The standard deviation for a weight with `fan_in` inputs an output.
    pub fn deviation(self, fan_in: usize) -> f32 {
        match self {
            Self::He => (2.0 / fan_in as f32).sqrt(),
            Self::Normal(deviation) => deviation,
        }
    }
}

impl TryFrom<String> for ThetaInit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let normal = || {
            text.strip_prefix("normal(")?
                .strip_suffix(')')?
                .trim()
                .parse()
                .ok()
        };
        match normal() {
            Some(deviation) if (0.0..=1e3).contains(&deviation) => Ok(Self::Normal(deviation)),
            _ if text == "he" => Ok(Self::He),
            _ => Err(format!(
                "theta_init is `{text}`: expected `he` or `normal(0.01)`"
            )),
        }
    }
}

impl From<ThetaInit> for String {
    fn from(init: ThetaInit) -> Self {
        match init {
            ThetaInit::He => "he".to_owned(),
            ThetaInit::Normal(deviation) => format!("normal({deviation})"),
        }
    }
}

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

mod default {
    pub(super) fn log_alpha_threshold() -> f32 {
        3.0
    }

    pub(super) fn log_sigma2_init() -> f32 {
        -10.0
    }

    pub(super) fn kl_weight() -> f64 {
        1.0
    }
}

impl Recipe {
    /// Reads a recipe; `origin` names the text in errors.
    ///
    /// # Errors
    /// [`Error::Toml`] if the text is no TOML, has an unknown key, or lacks one;
    /// [`Error::Recipe`] if a value is out of range.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self> {
        let recipe: Self = toml_file::parse(text, origin)?;
        recipe.check(origin)?;
        Ok(recipe)
    }

    /// The recipe as TOML.
    ///
    /// # Errors
    /// [`Error::TomlWrite`] if a value has no TOML form.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Checks every value's range; `origin` names the recipe in errors.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the field.
    pub fn check(&self, origin: &str) -> Result<()> {
        let (method, train) = (&self.method, &self.train);
        let [start, end] = train.kl_warmup;
        let fraction = |x: f64| (0.0..=1.0).contains(&x);
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let checks: [(bool, &'static str, String, &'static str); 10] = [
            (
                method.log_alpha_threshold.is_finite(),
                "method.log_alpha_threshold",
                method.log_alpha_threshold.to_string(),
                "a finite number",
            ),
            (
                (-40.0..=20.0).contains(&method.log_sigma2_init),
                "method.log_sigma2_init",
                method.log_sigma2_init.to_string(),
                "-40 to 20",
            ),
            (
                method.kl_weight.is_finite() && method.kl_weight >= 0.0,
                "method.kl_weight",
                method.kl_weight.to_string(),
                "0 or more",
            ),
            (
                (1..=1_000_000).contains(&train.epochs),
                "train.epochs",
                train.epochs.to_string(),
                "1 to 1000000",
            ),
            (
                (1..=1 << 20).contains(&train.batch_size),
                "train.batch_size",
                train.batch_size.to_string(),
                "1 to 1048576",
            ),
            (
                positive(train.lr),
                "train.lr",
                train.lr.to_string(),
                "a positive number",
            ),
            (
                i64::try_from(train.seed).is_ok(),
                "train.seed",
                train.seed.to_string(),
                "less than 2^63, TOML's largest integer",
            ),
            (
                fraction(train.lr_decay_from),
                "train.lr_decay_from",
                train.lr_decay_from.to_string(),
                "a fraction of the run, 0 to 1",
            ),
            (
                fraction(start) && fraction(end) && start <= end,
                "train.kl_warmup",
                format!("[{start}, {end}]"),
                "two rising fractions of the run, 0 to 1",
            ),
            (
                train.select_ratio >= 1.0,
                "train.select_ratio",
                train.select_ratio.to_string(),
                "1 or more",
            ),
        ];
        for (valid, field, found, expected) in checks {
            if !valid {
                return Err(Error::Recipe {
                    origin: origin.to_owned(),
                    field,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }
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
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact values")]
mod tests {
    use super::*;

    const TEXT: &str = "summary = 's'\n[method]\nkind = 'vbd'\ntheta_init = 'normal(0.01)'\n";

    #[test]
    fn a_recipe_survives_toml() {
        let recipe = Recipe::from_toml(TEXT, "r").unwrap();
        assert_eq!(recipe.method.theta_init, ThetaInit::Normal(0.01));
        assert_eq!(recipe.train, Train::default());
        assert_eq!(
            Recipe::from_toml(&recipe.to_toml().unwrap(), "r").unwrap(),
            recipe
        );
    }

    #[test]
    fn bad_values_name_their_field() {
        for (line, field) in [
            ("epochs = 0", "train.epochs"),
            ("lr = -1.0", "train.lr"),
            ("kl_warmup = [0.2, 0.1]", "train.kl_warmup"),
            ("lr = nan", "train.lr"),
            ("kl_warmup = [0.1, 0.2, 0.3]", "kl_warmup"),
        ] {
            let error = Recipe::from_toml(&format!("{TEXT}[train]\n{line}"), "r").unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let error = Recipe::from_toml(&TEXT.replace("normal(0.01)", "norm"), "r").unwrap_err();
        assert!(error.to_string().contains("theta_init"), "{error}");
    }

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
