//! Gates on units, as a recipe has them.

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::method::{kl_weight_check, threshold_check};
use crate::gate::noise;
use crate::prior::Prior;

/// A gate: noise on each unit of what it lies behind. A key that a kind does not have is an error.
///
/// Name | Default | Range | Kinds | Meaning
/// -|-|-|-|-
/// `after` | | `input`, a layer's name, `flatten` | all | where it lies: behind the layer's activation and pooling
/// `kind` | `normal` | see [`GateKind`] | all | what the noise is
/// `prior` | `hierarchical` | `hierarchical`, `log-uniform` | `normal`, `gaussian` that learns | the prior of each unit's factor
/// `kl_weight` | 1 | 0 to 1e12 | `normal`, `gaussian` that learns | factor on its KL, beside the method's
/// `log_alpha_threshold` | the method's | finite | `normal` | units at or over it are pruned
/// `rate` | 0.5 | 0 to 1, without 1; `gaussian`: without 0 | `bernoulli`, `gaussian` | how much noise: the share that is dropped; `alpha = rate / (1 - rate)`
/// `learn` | false | | `gaussian` | whether each unit learns an alpha, from `rate` on
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSetting {
    /// What it lies behind.
    pub after: String,
    /// What the noise is.
    #[serde(default)]
    pub kind: GateKind,
    /// The prior of each unit's factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<GatePrior>,
    /// Factor on its KL, beside the method's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_weight: Option<f64>,
    /// Units at this `log_alpha` or over it are pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_alpha_threshold: Option<f32>,
    /// How much noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Whether each unit learns an alpha.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn: Option<bool>,
}

impl GateSetting {
    /// How much noise.
    pub fn rate(&self) -> f64 {
        self.rate.unwrap_or(0.5)
    }

    /// Factor on its KL, beside the method's.
    pub fn kl_weight(&self) -> f64 {
        self.kl_weight.unwrap_or(1.0)
    }

    /// The prior of each unit's factor.
    pub fn prior(&self) -> Prior {
        match self.prior.unwrap_or_default() {
            GatePrior::Hierarchical => Prior::Hierarchical,
            GatePrior::LogUniform => Prior::LogUniform,
        }
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let whose = format!(" (after `{}`)", self.after);
        let noise = noise(self);
        let has = |key: &str, is_given: bool| is_given && !noise.keys().contains(&key);
        let given = [
            ("method.gate.prior", has("prior", self.prior.is_some())),
            (
                "method.gate.kl_weight",
                has("kl_weight", self.kl_weight.is_some()),
            ),
            (
                "method.gate.log_alpha_threshold",
                has("log_alpha_threshold", self.log_alpha_threshold.is_some()),
            ),
            ("method.gate.rate", has("rate", self.rate.is_some())),
            ("method.gate.learn", has("learn", self.learn.is_some())),
        ];
        let kind = self.kind.as_str();
        let found = format!("there{whose}, and a gate of kind `{kind}` has no such key");
        let absent = "it left out";
        let surplus =
            given.map(|(field, is_surplus)| Check::new(!is_surplus, field, &found, absent));
        let mut checks = Vec::from(surplus);
        let threshold = self.log_alpha_threshold.unwrap_or_default();
        checks.extend([
            kl_weight_check("method.gate.kl_weight", self.kl_weight(), &whose),
            threshold_check(threshold, "method.gate.log_alpha_threshold", &whose),
        ]);
        let rate = self.rate();
        let least = f64::from(u8::from(self.kind == GateKind::Gaussian)) * f64::MIN_POSITIVE;
        checks.push(Check::new(
            (least..1.0).contains(&rate),
            "method.gate.rate",
            &format!("{rate}{whose}"),
            "0 to 1, without 1, and without 0 of a gaussian gate",
        ));
        checks
    }
}

/// The kinds of gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// A posterior for each unit's factor, `theta + sigma eps` (Liu et al. 2019, eq. 19).
    #[default]
    Normal,
    /// Dropout: a unit is 0 with probability `rate`, else divided by what is left.
    Bernoulli,
    /// A factor `1 + sqrt(alpha) eps`, alpha fixed or learnt.
    Gaussian,
}

impl GateKind {
    /// The kind's word in a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Bernoulli => "bernoulli",
            Self::Gaussian => "gaussian",
        }
    }
}

/// The priors of a unit's factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatePrior {
    /// That of variational Bayesian dropout.
    #[default]
    Hierarchical,
    /// That of sparse variational dropout.
    LogUniform,
}
