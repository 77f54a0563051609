//! What is learnt about each weight or unit: the posterior and its prior.

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{GateSetting, Rule, ThetaInit};
use crate::gate::noise;
use crate::prior::Prior;

/// The posterior and its prior.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `kind` | | see [`MethodKind`] | what has a posterior, and its prior
/// `log_alpha_threshold` | 3 | finite | weights or units at or over it are pruned
/// `log_sigma2_init` | -10 | -40 to 20 | first `log_sigma2`
/// `theta_init` | `he` | `he`, `normal(S)` | first theta of weights: normal, of deviation `sqrt(2 / fan_in)` or S
/// `kl_weight` | 1 | 0 to 1e12 | factor on the KL; other than 1 it is a tempered posterior
/// `rule` | | tables | what differs for some weights, see [`Rule`]
/// `gate` | | tables | noise on units, see [`GateSetting`]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// The prior.
    pub kind: MethodKind,
    /// Weights or units at this `log_alpha` or over it are pruned.
    #[serde(default = "default::log_alpha_threshold")]
    pub log_alpha_threshold: f32,
    /// First value of every `log_sigma2`.
    #[serde(default = "default::log_sigma2_init")]
    pub log_sigma2_init: f32,
    /// How theta of weights is drawn.
    #[serde(default)]
    pub theta_init: ThetaInit,
    /// Factor on the KL.
    #[serde(default = "default::kl_weight")]
    pub kl_weight: f64,
    /// What differs for some weights.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Gates on units.
    #[serde(default, rename = "gate", skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateSetting>,
}

/// The kinds of method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// Variational Bayesian dropout of weights: the hierarchical prior.
    Vbd,
    /// Sparse variational dropout of weights: the log-uniform prior.
    Vd,
    /// Plain weights; with gates, neurons alone are pruned.
    Dense,
}

impl MethodKind {
    /// The prior of whatever has a posterior; `None` where nothing has.
    pub fn prior(self) -> Option<Prior> {
        match self {
            Self::Vbd => Some(Prior::Hierarchical),
            Self::Vd => Some(Prior::LogUniform),
            Self::Dense => None,
        }
    }
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

/// The check of a factor on a KL, told with `whose` it is: steps compute in f32, with the method's and a
/// layer's or a gate's multiplied.
pub(super) fn kl_weight_check(field: &'static str, kl_weight: f64, whose: &str) -> Check {
    let is_valid = (0.0..=1e12).contains(&kl_weight);
    Check::new(is_valid, field, &format!("{kl_weight}{whose}"), "0 to 1e12")
}

/// Whether a factor on a KL, the product of all that there are, makes a tempered posterior.
pub fn is_tempered(kl_weight: f64) -> bool {
    (kl_weight - 1.0).abs() > f64::EPSILON
}

impl Method {
    /// The method of a kind, everything else by default.
    pub fn new(kind: MethodKind) -> Self {
        Self {
            kind,
            log_alpha_threshold: default::log_alpha_threshold(),
            log_sigma2_init: default::log_sigma2_init(),
            theta_init: ThetaInit::default(),
            kl_weight: default::kl_weight(),
            rules: Vec::new(),
            gates: Vec::new(),
        }
    }

    /// The factors on the KLs that are not 1: with one of them it is a tempered posterior.
    pub fn tempered(&self) -> Vec<f64> {
        let of_weights = self.kind.prior().map(|_| self.kl_weight);
        let kind = |rule: &Rule| rule.kind.unwrap_or(self.kind);
        let of_rules = self
            .rules
            .iter()
            .filter(|rule| kind(rule).prior().is_some());
        let of_rules = of_rules.map(|rule| self.kl_weight * rule.kl_weight.unwrap_or(1.0));
        let learnt = self.gates.iter().filter(|gate| noise(gate).is_learnt());
        let of_gates = learnt.map(|gate| gate.kl_weight() * self.kl_weight);
        let factors = of_weights.into_iter().chain(of_rules).chain(of_gates);
        factors.filter(|&factor| is_tempered(factor)).collect()
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            threshold_check(self.log_alpha_threshold, "method.log_alpha_threshold", ""),
            log_sigma2_check(self.log_sigma2_init, "method.log_sigma2_init", ""),
            kl_weight_check("method.kl_weight", self.kl_weight, ""),
        ];
        for rule in &self.rules {
            let whose = format!(" (of `{}`)", rule.weights.join("`, `"));
            checks.push(Check::new(
                !rule.weights.is_empty(),
                "method.rule.weights",
                &"empty",
                "the names of one layer or more",
            ));
            let kind = rule.kind.unwrap_or(self.kind);
            let keys = [rule.log_alpha_threshold, rule.log_sigma2_init];
            let has_posterior = keys.iter().any(Option::is_some) || rule.kl_weight.is_some();
            checks.push(Check::new(
                kind.prior().is_some() || !has_posterior,
                "method.rule",
                &format!("kl_weight, log_alpha_threshold or log_sigma2_init{whose}"),
                "none of them, for dense weights have no prior",
            ));
            let threshold = rule.log_alpha_threshold.unwrap_or_default();
            let log_sigma2 = rule.log_sigma2_init.unwrap_or_default();
            let kl_weight = rule.kl_weight.unwrap_or_default();
            checks.extend([
                threshold_check(threshold, "method.rule.log_alpha_threshold", &whose),
                log_sigma2_check(log_sigma2, "method.rule.log_sigma2_init", &whose),
                kl_weight_check("method.rule.kl_weight", kl_weight, &whose),
            ]);
        }
        checks.extend(self.gates.iter().flat_map(GateSetting::checks));
        checks
    }
}

pub(super) fn threshold_check(threshold: f32, field: &'static str, whose: &str) -> Check {
    let found = format!("{threshold}{whose}");
    Check::new(threshold.is_finite(), field, &found, "a finite number")
}

fn log_sigma2_check(log_sigma2: f32, field: &'static str, whose: &str) -> Check {
    let is_valid = (-40.0..=20.0).contains(&log_sigma2);
    Check::new(
        is_valid,
        field,
        &format!("{log_sigma2}{whose}"),
        "-40 to 20",
    )
}
