//! What is learnt about each weight or unit: the posterior and its prior.

use serde::{Deserialize, Serialize};

use super::ThetaInit;
use super::check::Check;
use crate::error::Result;
use crate::prior::Prior;
use vbd_net::spec::NetSpec;

/// The posterior and its prior.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `kind` | | see [`MethodKind`] | what has a posterior, and its prior
/// `log_alpha_threshold` | 3 | finite | weights or units at or over it are pruned
/// `log_sigma2_init` | -10 | -40 to 20 | first `log_sigma2`
/// `theta_init` | `he` | `he`, `normal(S)` | first theta of weights: normal, of deviation `sqrt(2 / fan_in)` or S
/// `kl_weight` | 1 | 0 to 1e12 | factor on the KL; other than 1 it is a tempered posterior
/// `layer` | | tables | what differs for some layers' weights, see [`LayerSetting`]
/// `gate` | | tables | the gates, see [`GateSetting`]
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
    /// What differs for some layers' weights.
    #[serde(default, rename = "layer", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerSetting>,
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
    /// Variational Bayesian dropout of units: plain weights, gates with the hierarchical prior.
    VbdNeurons,
    /// The same with the log-uniform prior.
    VdNeurons,
    /// Plain training without noise, for comparison.
    Dense,
}

impl MethodKind {
    /// The prior of whatever has a posterior; `None` where nothing has.
    pub fn prior(self) -> Option<Prior> {
        match self {
            Self::Vbd | Self::VbdNeurons => Some(Prior::Hierarchical),
            Self::Vd | Self::VdNeurons => Some(Prior::LogUniform),
            Self::Dense => None,
        }
    }

    /// Whether each weight has a posterior of its own.
    pub fn has_variational_weights(self) -> bool {
        matches!(self, Self::Vbd | Self::Vd)
    }
}

/// What differs for the weights of a layer: those of a convolution cost a product at each position, so
/// that it may pay to prune them harder than the ratio asks for.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `name` | | a layer's name | which
/// `kl_weight` | 1 | 0 to 1e12 | factor on its KL, beside the method's
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSetting {
    /// Which layer.
    pub name: String,
    /// Factor on its KL, beside the method's.
    #[serde(default = "default::kl_weight")]
    pub kl_weight: f64,
}

/// A gate: a posterior for each unit of what it lies behind (Liu et al. 2019, eq. 19).
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `after` | | `input`, a layer's name, `flatten` | where it lies: behind the layer's activation and pooling
/// `kl_weight` | 1 | 0 to 1e12 | factor on its KL, beside the method's
/// `log_alpha_threshold` | the method's | finite | units at or over it are pruned
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSetting {
    /// What it lies behind.
    pub after: String,
    /// Factor on its KL, beside the method's.
    #[serde(default = "default::kl_weight")]
    pub kl_weight: f64,
    /// Units at this `log_alpha` or over it are pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_alpha_threshold: Option<f32>,
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
fn kl_weight_check(field: &'static str, kl_weight: f64, whose: &str) -> Check {
    let is_valid = (0.0..=1e12).contains(&kl_weight);
    Check::new(is_valid, field, &format!("{kl_weight}{whose}"), "0 to 1e12")
}

/// Whether a factor on a KL, the product of all that there are, makes a tempered posterior.
pub fn is_tempered(kl_weight: f64) -> bool {
    (kl_weight - 1.0).abs() > f64::EPSILON
}

impl Method {
    /// The factors on the KLs that are not 1: with one of them it is a tempered posterior.
    pub fn tempered(&self) -> Vec<f64> {
        let of_weights = self.kind.has_variational_weights().then_some(1.0);
        let of_layers = self.layers.iter().map(|layer| layer.kl_weight);
        let of_gates = self.gates.iter().map(|gate| gate.kl_weight);
        let factors = of_weights.into_iter().chain(of_layers).chain(of_gates);
        let factors = factors.map(|factor| factor * self.kl_weight);
        factors.filter(|&factor| is_tempered(factor)).collect()
    }

    /// The factor on the KL of each weight of a network, beside the method's.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if a setting is for no layer with a weight, or two are for one; or as
    /// [`NetSpec::weights`].
    pub fn layer_kl_weights(&self, spec: &NetSpec) -> Result<Vec<f64>> {
        let weights = spec.weights()?;
        let mut factors = vec![None; weights.len()];
        for LayerSetting { name, kl_weight } in &self.layers {
            let Some(index) = weights.iter().position(|weight| weight.layer == *name) else {
                let names: Vec<_> = weights.iter().map(|w| format!("`{}`", w.layer)).collect();
                let names = names.join(", ");
                let problem =
                    format!("`method.layer` names no layer with weights: expected one of {names}");
                return Err(spec.problem(name, problem).into());
            };
            if factors[index].replace(*kl_weight).is_some() {
                return Err(spec
                    .problem(name, "two tables of `method.layer` are for it")
                    .into());
            }
        }
        Ok(factors
            .into_iter()
            .map(|factor| factor.unwrap_or(1.0))
            .collect())
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            Check::new(
                self.log_alpha_threshold.is_finite(),
                "method.log_alpha_threshold",
                &self.log_alpha_threshold,
                "a finite number",
            ),
            Check::new(
                (-40.0..=20.0).contains(&self.log_sigma2_init),
                "method.log_sigma2_init",
                &self.log_sigma2_init,
                "-40 to 20",
            ),
            kl_weight_check("method.kl_weight", self.kl_weight, ""),
            Check::new(
                self.kind != MethodKind::Dense || self.gates.is_empty(),
                "method.gate",
                &"there",
                "no gate, for kind `dense` has no prior",
            ),
            Check::new(
                self.kind.prior().is_none()
                    || self.kind.has_variational_weights()
                    || !self.gates.is_empty(),
                "method.gate",
                &"absent",
                "at least one `[[method.gate]]`, for nothing else is pruned by this kind",
            ),
            Check::new(
                self.kind.has_variational_weights() || self.layers.is_empty(),
                "method.layer",
                &"there",
                "no layer, for weights have no prior in this kind",
            ),
        ];
        for LayerSetting { name, kl_weight } in &self.layers {
            let whose = format!(" (of `{name}`)");
            checks.push(kl_weight_check(
                "method.layer.kl_weight",
                *kl_weight,
                &whose,
            ));
        }
        for gate in &self.gates {
            let whose = format!(" (after `{}`)", gate.after);
            checks.push(kl_weight_check(
                "method.gate.kl_weight",
                gate.kl_weight,
                &whose,
            ));
            let threshold = gate.log_alpha_threshold.unwrap_or_default();
            checks.push(Check::new(
                threshold.is_finite(),
                "method.gate.log_alpha_threshold",
                &format!("{threshold} (after `{}`)", gate.after),
                "a finite number",
            ));
        }
        checks
    }
}
