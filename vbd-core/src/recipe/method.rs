//! Methods of a recipe: how weights and units are trained.

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::keys::{Key, KeyTable, KeyValue, Keys, Range, Settings};
use super::{GateSetting, ThetaInit, WeightRule};
use crate::error::Result;
use crate::method::MethodKind;

/// The method of every weight, overrides for some, and gates.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `kind` | | see [`MethodKind`] | what is learned about a weight
/// `theta_init` | `he` | `he`, `normal(S)` | initial theta: normal with standard deviation `sqrt(2 / fan_in)` or S
/// `kl_weight` | 1 | 0 to 1e12 | factor on the KL; values other than 1 give a tempered posterior
/// `rule` | | tables | overrides for some weights, see [`WeightRule`]
/// `gate` | | tables | noise on units, see [`GateSetting`]
/// others | | | the keys of the kind, see [`MethodKind::keys`]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Kind of the method.
    pub kind: MethodKind,
    /// Initialisation of theta.
    #[serde(default)]
    pub theta_init: ThetaInit,
    /// Factor on the KL.
    #[serde(default = "one")]
    pub kl_weight: f64,
    /// Keys of the kind, and those inherited by gates.
    #[serde(flatten)]
    pub keys: Keys,
    /// Overrides for some weights.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<WeightRule>,
    /// Gates on units.
    #[serde(default, rename = "gate", skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateSetting>,
}

fn one() -> f64 {
    1.0
}

/// Returns whether a factor on a KL, the product of all, gives a tempered posterior.
pub fn is_tempered(kl_weight: f64) -> bool {
    (kl_weight - 1.0).abs() > f64::EPSILON
}

impl Method {
    /// Creates a method of a kind with default values.
    pub fn new(kind: MethodKind) -> Self {
        Self {
            kind,
            theta_init: ThetaInit::default(),
            kl_weight: one(),
            keys: Keys::new(),
            rules: Vec::new(),
            gates: Vec::new(),
        }
    }

    /// Returns the keys of the kind with their defaults.
    pub fn settings(&self) -> Settings<'_> {
        Settings::new(self.kind.keys(), &self.keys)
    }

    /// Returns the method with a number set for one of its kind's keys.
    #[must_use]
    pub fn with(mut self, key: &str, number: f64) -> Self {
        self.keys.insert(key.to_owned(), KeyValue::Number(number));
        self
    }

    /// Returns whether a key has an effect in `[method]`: for the kind, or for gates that inherit
    /// it.
    pub fn uses(&self, key: &str) -> bool {
        let is_known = self.kind.keys().iter().any(|known| known.name == key);
        let applies = self.kind.definition().applies;
        (is_known && applies(&self.settings(), key))
            || self.gates.iter().any(|gate| gate.takes(key))
    }

    /// Sets the keys whose default differs for a run that starts from a trained net, unless they are
    /// given, here and in rules with a kind of their own.
    pub fn set_trained_defaults(&mut self) {
        let used: Vec<_> = all_keys().filter(|key| self.uses(key.name)).collect();
        set_trained(&mut self.keys, used);
        for rule in &mut self.rules {
            let Some(kind) = rule.kind else {
                continue;
            };
            let settings = Settings::new(kind.keys(), &rule.keys);
            let applies = kind.definition().applies;
            let used = kind.keys().iter();
            let used: Vec<_> = used.filter(|key| applies(&settings, key.name)).collect();
            set_trained(&mut rule.keys, used);
        }
    }

    /// Returns the keys that `[method]` may have, besides `rule` and `gate`.
    pub fn known_keys() -> Vec<&'static str> {
        let mut names: Vec<&str> = all_keys().map(|key| key.name).collect();
        names.extend(["kind", "theta_init", "kl_weight"]);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the factors on KLs that are not 1 and so give a tempered posterior.
    pub fn tempered(&self) -> Vec<f64> {
        let has_kl = |kind: MethodKind| kind.has_kl();
        let of_weights = has_kl(self.kind).then_some(self.kl_weight);
        let kind = |rule: &WeightRule| rule.kind.unwrap_or(self.kind);
        let of_rules = self.rules.iter().filter(|rule| has_kl(kind(rule)));
        let of_rules = of_rules.map(|rule| self.kl_weight * rule.kl_weight.unwrap_or(1.0));
        let learned = self.gates.iter().filter(|gate| gate.has_kl());
        let of_gates = learned.map(|gate| gate.kl_weight() * self.kl_weight);
        let factors = of_weights.into_iter().chain(of_rules).chain(of_gates);
        factors.filter(|&factor| is_tempered(factor)).collect()
    }

    pub(super) fn check(&self, origin: &str) -> Result<()> {
        kl_weight_check("method.kl_weight", self.kl_weight, "").pass(origin)?;
        // What gates, or the weights of a rule, take from here is theirs to mean something.
        let own = |key: &str| self.kind.keys().iter().any(|known| known.name == key);
        let lent = |key: &str| self.gates.iter().any(|gate| gate.takes(key));
        let mut keys = self.keys.clone();
        keys.retain(|key, _| own(key) || !lent(key));
        let settings = Settings::new(self.kind.keys(), &keys);
        let applies = self.kind.definition().applies;
        let is_lent = |key: &str| lent(key) || !self.rules.is_empty();
        let table = KeyTable {
            name: "method",
            whose: "",
            kind: &format!("a method of kind `{}`", self.kind.as_str()),
            others: &["kind", "theta_init", "kl_weight", "rule", "gate"],
            of_all: all_keys().collect(),
        };
        table.check(
            &settings,
            |key| applies(&settings, key) || is_lent(key),
            origin,
        )?;
        for (key, value) in self.keys.iter().filter(|(key, _)| !own(key)) {
            GateSetting::check_lent(key, value, origin)?;
        }
        for rule in &self.rules {
            rule.check(self, origin)?;
        }
        self.gates.iter().try_for_each(|gate| gate.check(origin))
    }
}

/// Sets the keys that are absent and have a default for a run that starts from a trained net.
fn set_trained(keys: &mut Keys, used: Vec<&Key>) {
    for key in used {
        if let Some(number) = key.from_trained {
            let value = KeyValue::Number(number);
            keys.entry(key.name.to_owned()).or_insert(value);
        }
    }
}

/// Keys of all kinds.
pub(super) fn all_keys() -> impl Iterator<Item = &'static Key> {
    MethodKind::ALL.into_iter().flat_map(MethodKind::keys)
}

/// Checks a factor on a KL; `whose` is a suffix in the error.
pub(super) fn kl_weight_check(field: &str, kl_weight: f64, whose: &str) -> Check {
    let Range::Number { least, most, words } = Range::KL_WEIGHT else {
        unreachable!("a factor is a number")
    };
    let is_valid = (least..=most).contains(&kl_weight);
    Check::new(is_valid, field, &format!("{kl_weight}{whose}"), words)
}
