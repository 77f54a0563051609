//! Keys of the kinds of methods and gates, in tables. Recipes are checked and read with them, and a
//! test compares docs/recipes.md with them.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::error::{Error, Result};

/// A key of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Name in a recipe.
    pub name: &'static str,
    /// Default value.
    pub default: Value,
    /// Default value for a run that starts from a trained net, if different.
    pub from_trained: Option<f64>,
    /// Range of values.
    pub range: Range,
    /// Description for docs/recipes.md.
    pub meaning: &'static str,
}

/// Default value of a key.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A word.
    Word(&'static str),
    /// `true` or `false`.
    Flag(bool),
    /// The method's value of the key with this name, or else this number.
    Methods(f64),
}

/// Range of a key.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// A number in an inclusive range.
    Number {
        /// Minimum.
        least: f64,
        /// Maximum.
        most: f64,
        /// Range in words.
        words: &'static str,
    },
    /// One of several words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
}

impl Range {
    /// Any finite f32.
    pub const FINITE: Self = Self::Number {
        least: f32::MIN as f64,
        most: f32::MAX as f64,
        words: "finite",
    };
    /// A fraction, excluding 0 and 1.
    pub const RATE: Self = Self::Number {
        least: f64::MIN_POSITIVE,
        most: 1.0 - f64::EPSILON,
        words: "0 to 1, exclusive",
    };
    /// A factor on a KL. Bounded because steps compute in f32, with factors multiplied.
    pub const KL_WEIGHT: Self = Self::Number {
        least: 0.0,
        most: 1e12,
        words: "0 to 1e12",
    };

    /// Range in words.
    pub fn words(&self) -> String {
        match self {
            Self::Number { words, .. } => (*words).to_owned(),
            Self::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(", ")
            }
            Self::Flag => "`true`, `false`".to_owned(),
        }
    }

    fn has(&self, value: &KeyValue) -> bool {
        match (self, value) {
            (Self::Number { least, most, .. }, KeyValue::Number(number)) => {
                (*least..=*most).contains(number)
            }
            (Self::Words(words), KeyValue::Word(word)) => words.contains(&word.as_str()),
            (Self::Flag, KeyValue::Flag(_)) => true,
            _ => false,
        }
    }
}

/// Value of a key in a recipe.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyValue {
    /// `true` or `false`.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
    /// Any other type, which is invalid.
    #[serde(skip_serializing)]
    Other(IgnoredAny),
}

impl std::fmt::Display for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Other(_) => f.write_str("a list or a table"),
        }
    }
}

/// Keys given in a table of a recipe.
pub type Keys = BTreeMap<String, KeyValue>;

/// Keys of a kind: given values and defaults.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    known: &'static [Key],
    given: &'a Keys,
    /// Keys of the method, for [`Value::Methods`].
    methods: Option<&'a Keys>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(known: &'static [Key], given: &'a Keys) -> Self {
        Self {
            known,
            given,
            methods: None,
        }
    }

    pub(super) fn beside(self, methods: &'a Keys) -> Self {
        Self {
            methods: Some(methods),
            ..self
        }
    }

    fn default(&self, key: &str) -> Option<Value> {
        let known = self.known.iter().find(|known| known.name == key);
        known.map(|known| known.default)
    }

    /// Returns a number; 0 if the kind lacks the key.
    pub fn number(&self, key: &str) -> f64 {
        let methods = self.methods.and_then(|keys| keys.get(key));
        match (self.given.get(key), self.default(key), methods) {
            (Some(KeyValue::Number(number)), ..)
            | (None, Some(Value::Methods(_)), Some(KeyValue::Number(number))) => *number,
            (_, Some(Value::Number(number) | Value::Methods(number)), _) => number,
            _ => 0.0,
        }
    }

    /// Returns [`Settings::number`] as f32.
    #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
    pub fn f32(&self, key: &str) -> f32 {
        self.number(key) as f32
    }

    /// Returns a word; empty if the kind lacks the key.
    pub fn word(&self, key: &str) -> &'a str {
        match (self.given.get(key), self.default(key)) {
            (Some(KeyValue::Word(word)), _) => word,
            (_, Some(Value::Word(word))) => word,
            _ => "",
        }
    }

    /// Returns a flag; `false` if the kind lacks the key.
    pub fn flag(&self, key: &str) -> bool {
        match (self.given.get(key), self.default(key)) {
            (Some(KeyValue::Flag(flag)), _) => *flag,
            (_, Some(Value::Flag(flag))) => flag,
            _ => false,
        }
    }
}

/// A table of a recipe whose keys depend on its kind.
pub(super) struct KeyTable<'a> {
    /// Dotted name, such as `method.gate`.
    pub(super) name: &'static str,
    /// Suffix of values in errors, such as ` (after `fc1`)`.
    pub(super) whose: &'a str,
    /// Description of the kind, such as "a gate of kind `normal`".
    pub(super) kind: &'a str,
    /// Other keys of the table.
    pub(super) others: &'static [&'static str],
    /// Keys of all kinds.
    pub(super) of_all: Vec<&'static Key>,
}

impl KeyTable<'_> {
    /// Checks that each given key belongs to the kind, has an effect, and is in its range.
    pub(super) fn check(
        &self,
        settings: &Settings<'_>,
        applies: impl Fn(&str) -> bool,
        origin: &str,
    ) -> Result<()> {
        for (name, value) in settings.given {
            let field = format!("{}.{name}", self.name);
            let known = settings.known.iter().find(|key| key.name == name);
            let Some(key) = known.filter(|_| applies(name)) else {
                if known.is_none() && self.of_all.iter().all(|key| key.name != name) {
                    return Err(self.unknown(name, origin));
                }
                let Self { whose, kind, .. } = self;
                let (found, expected) =
                    (format!("given{whose}"), format!("no such key for {kind}"));
                return Check::new(false, &field, &found, &expected).pass(origin);
            };
            let found = format!("{value}{}", self.whose);
            Check::new(key.range.has(value), &field, &found, &key.range.words()).pass(origin)?;
        }
        Ok(())
    }

    fn unknown(&self, name: &str, origin: &str) -> Error {
        let mut known: Vec<&str> = self.others.to_vec();
        known.extend(self.of_all.iter().map(|key| key.name));
        known.sort_unstable();
        known.dedup();
        let words: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
        let nearness = |known: &&&str| strsim::jaro_winkler(name, known);
        let nearest = known
            .iter()
            .max_by(|a, b| nearness(a).total_cmp(&nearness(b)));
        Error::Toml {
            origin: origin.to_owned(),
            message: format!(
                "unknown field `{name}` in `{}`{}, expected one of {}",
                self.name,
                self.whose,
                words.join(", ")
            ),
            nearest: nearest.map(|&known| known.to_owned()),
        }
    }
}
