//! Gates in a recipe.

use serde::{Deserialize, Serialize};

use super::Method;
use super::keys::{KeyTable, KeyValue, Keys, Settings, Value};
use crate::error::Result;
use crate::gate::{GateKind, GateNoise};

/// A gate: noise on each unit at its position. Keys that do not apply to the kind are errors.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `after` | | `input`, a layer's name, `flatten` | position: after the layer's activation and pooling
/// `kind` | `normal` | see [`GateKind`] | kind of noise
/// others | | | the keys of the kind, see [`GateKind::keys`]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateSetting {
    /// Position of the gate.
    pub after: String,
    /// Kind of noise.
    #[serde(default)]
    pub kind: GateKind,
    /// Keys of the kind.
    #[serde(flatten)]
    pub keys: Keys,
}

impl GateSetting {
    fn settings(&self) -> Settings<'_> {
        Settings::new(self.kind.keys(), &self.keys)
    }

    /// Returns the noise with its settings, some of which may be the method's.
    pub(crate) fn noise(&self, method: &Method) -> Box<dyn GateNoise> {
        (self.kind.definition().build)(&self.settings().beside(&method.keys))
    }

    /// Returns whether it has a KL.
    pub(super) fn has_kl(&self) -> bool {
        let settings = self.settings();
        let is_known = self.kind.keys().iter().any(|key| key.name == "kl_weight");
        is_known && (self.kind.definition().applies)(&settings, "kl_weight")
    }

    /// Returns the factor on its KL, multiplied by the method's.
    pub fn kl_weight(&self) -> f64 {
        self.settings().number("kl_weight")
    }

    /// Returns whether it inherits a key from the method.
    pub(super) fn takes(&self, key: &str) -> bool {
        inherits(self.kind, key)
    }

    /// Checks the value of a key in `[method]` that is only used by gates.
    pub(super) fn check_lent(key: &str, value: &KeyValue, origin: &str) -> Result<()> {
        let keys = Keys::from([(key.to_owned(), value.clone())]);
        let mut kinds = GateKind::ALL.into_iter();
        let kind = kinds.find(|&kind| inherits(kind, key));
        let kind = kind.unwrap_or_default();
        let settings = Settings::new(kind.keys(), &keys);
        table("method", "", "gates").check(&settings, |_| true, origin)
    }

    pub(super) fn check(&self, origin: &str) -> Result<()> {
        let settings = self.settings();
        let whose = format!(" (after `{}`)", self.after);
        let kind = format!("a gate of kind `{}`", self.kind.as_str());
        let applies = self.kind.definition().applies;
        let table = table("method.gate", &whose, &kind);
        table.check(&settings, |key| applies(&settings, key), origin)
    }
}

/// Returns whether gates of a kind inherit a key from the method.
fn inherits(kind: GateKind, key: &str) -> bool {
    let mut keys = kind.keys().iter();
    keys.any(|own| own.name == key && matches!(own.default, Value::Methods(_)))
}

fn table<'a>(name: &'static str, whose: &'a str, kind: &'a str) -> KeyTable<'a> {
    KeyTable {
        name,
        whose,
        kind,
        others: &["after", "kind"],
        of_all: GateKind::ALL.into_iter().flat_map(GateKind::keys).collect(),
    }
}
