//! Rules of a recipe, and the resulting setting of each weight.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vbd_net::spec::NetSpec;

use super::check::Check;
use super::keys::{KeyTable, Keys, Settings};
use super::method::{all_keys, kl_weight_check};
use super::{Method, ThetaInit};
use crate::error::Result;
use crate::method::{MethodKind, WeightMethod};
use crate::weight::State;

/// Overrides for some weights. Its keys replace the method's, except `kl_weight`, which multiplies
/// it. If several rules match a weight, the last one wins key by key. A rule with a `kind` starts
/// from that kind's defaults.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `weights` | | names of layers | weights the rule applies to
/// `kind` | the method's | see [`MethodKind`] | what is learned about them
/// `theta_init` | the method's | `he`, `normal(S)` | initial theta
/// `kl_weight` | 1 | 0 to 1e12 | factor on the KL, multiplied by the method's
/// others | the method's | | the keys of the kind, see [`MethodKind::keys`]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WeightRule {
    /// Names of the layers with these weights.
    pub weights: Vec<String>,
    /// Kind of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MethodKind>,
    /// Initialisation of theta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theta_init: Option<ThetaInit>,
    /// Factor on the KL, multiplied by the method's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_weight: Option<f64>,
    /// Keys of the kind.
    #[serde(flatten)]
    pub keys: Keys,
}

/// Setting of one weight.
#[derive(Debug, Clone)]
pub struct WeightSetting {
    /// Method of the weight.
    pub method: Arc<dyn WeightMethod>,
    /// Initialisation of theta.
    pub theta_init: ThetaInit,
    /// Factor on the KL, multiplied by the method's.
    pub kl_weight: f64,
}

impl WeightSetting {
    /// Returns those states of the net that belong to the weight's method.
    pub(crate) fn net_states(&self, net: &[State]) -> Vec<State> {
        let own = self.method.net_states().into_iter();
        let found = own.filter_map(|own| net.iter().find(|state| state.name == own.name));
        found.cloned().collect()
    }
}

/// Keys of one weight after some rules.
#[derive(Debug, Clone)]
struct WeightKeys {
    kind: MethodKind,
    keys: Keys,
    theta_init: ThetaInit,
    kl_weight: f64,
}

impl WeightKeys {
    fn of(method: &Method) -> Self {
        Self {
            kind: method.kind,
            keys: method.keys.clone(),
            theta_init: method.theta_init,
            kl_weight: 1.0,
        }
    }

    fn follow(&mut self, rule: &WeightRule) {
        if let Some(kind) = rule.kind {
            *self = Self::of(&Method::new(kind));
        }
        self.keys.extend(rule.keys.clone());
        self.theta_init = rule.theta_init.unwrap_or(self.theta_init);
        self.kl_weight = rule.kl_weight.unwrap_or(self.kl_weight);
    }

    fn settings(&self) -> Settings<'_> {
        Settings::new(self.kind.keys(), &self.keys)
    }

    fn setting(&self) -> WeightSetting {
        WeightSetting {
            method: (self.kind.definition().build)(&self.settings()),
            theta_init: self.theta_init,
            kl_weight: self.kl_weight,
        }
    }
}

impl WeightRule {
    pub(super) fn check(&self, method: &Method, origin: &str) -> Result<()> {
        let whose = format!(" (of `{}`)", self.weights.join("`, `"));
        let names = "one or more layer names";
        let is_given = !self.weights.is_empty();
        Check::new(is_given, "method.rule.weights", &"empty", names).pass(origin)?;
        let mut merged = WeightKeys::of(method);
        merged.follow(self);
        let kind = merged.kind;
        let has_kl = kind.has_kl() || self.kl_weight.is_none();
        let given = format!("given{whose}");
        let expected = format!("no KL weight for kind `{}`", kind.as_str());
        Check::new(has_kl, "method.rule.kl_weight", &given, &expected).pass(origin)?;
        let kl_weight = self.kl_weight.unwrap_or(1.0);
        kl_weight_check("method.rule.kl_weight", kl_weight, &whose).pass(origin)?;
        let table = KeyTable {
            name: "method.rule",
            whose: &whose,
            kind: &format!("a method of kind `{}`", kind.as_str()),
            others: &["weights", "kind", "theta_init", "kl_weight"],
            of_all: all_keys().collect(),
        };
        let (applies, all) = (kind.definition().applies, merged.settings());
        let own = Settings::new(kind.keys(), &self.keys);
        table.check(&own, |key| applies(&all, key), origin)
    }
}

impl Method {
    /// Returns the setting of each weight of a network, in order.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if a rule names a layer without a weight; those of
    /// [`NetSpec::resolve`].
    pub fn of_weights(&self, spec: &NetSpec) -> Result<Vec<WeightSetting>> {
        let graph = spec.resolve()?;
        let mut merged = vec![WeightKeys::of(self); graph.weights().len()];
        for rule in &self.rules {
            for name in &rule.weights {
                let mut weights = graph.weights().iter();
                let Some(number) = weights.position(|weight| weight.layer == *name) else {
                    let names = graph.weights().iter();
                    let names: Vec<_> = names.map(|w| format!("`{}`", w.layer)).collect();
                    let names = names.join(", ");
                    let problem =
                        format!("`method.rule`: not a layer with weights: expected one of {names}");
                    return Err(spec.problem(name, problem).into());
                };
                merged[number].follow(rule);
            }
        }
        Ok(merged.iter().map(WeightKeys::setting).collect())
    }
}
