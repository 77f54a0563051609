//! The keys of a kind of method or gate: a table each, by which recipes are checked and read, and docs/recipes.md
//! is held to the code.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::error::{Error, Result};

/// A key of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name in a recipe.
    pub name: &'static str,
    /// What it is where a recipe says nothing.
    pub default: Value,
    /// What it is instead where a run starts from a trained net.
    pub from_trained: Option<f64>,
    /// What it may be.
    pub range: Range,
    /// What it does, for docs/recipes.md.
    pub meaning: &'static str,
}

/// The default of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A word.
    Word(&'static str),
    /// Yes or no.
    Flag(bool),
    /// What the method says of its own key of this name, or else this number.
    Methods(f64),
}

/// What a key may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// A number, both ends included.
    Number {
        /// The least.
        least: f64,
        /// The largest.
        most: f64,
        /// The range in words.
        words: &'static str,
    },
    /// One of some words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
}

impl Range {
    /// Any number that f32 has.
    pub const FINITE: Self = Self::Number {
        least: f32::MIN as f64,
        most: f32::MAX as f64,
        words: "finite",
    };
    /// A share, where nothing is left of 1 and nothing happens at 0.
    pub const RATE: Self = Self::Number {
        least: f64::MIN_POSITIVE,
        most: 1.0 - f64::EPSILON,
        words: "0 to 1, exclusive",
    };
    /// A factor on a KL: steps compute in f32, with the method's and a layer's or a gate's multiplied.
    pub const KL_WEIGHT: Self = Self::Number {
        least: 0.0,
        most: 1e12,
        words: "0 to 1e12",
    };

    /// The range in words.
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

/// The value of a key, as a recipe has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyValue {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
    /// What no key may be.
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

/// The keys that a recipe's table gives.
pub type Keys = BTreeMap<String, KeyValue>;

/// The keys of a kind: those that are given, and the defaults of the others.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    known: &'static [Key],
    given: &'a Keys,
    /// The method's, for [`Value::Methods`].
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

    /// A number; 0 of a kind without the key.
    pub fn number(&self, key: &str) -> f64 {
        let methods = self.methods.and_then(|keys| keys.get(key));
        match (self.given.get(key), self.default(key), methods) {
            (Some(KeyValue::Number(number)), ..)
            | (None, Some(Value::Methods(_)), Some(KeyValue::Number(number))) => *number,
            (_, Some(Value::Number(number) | Value::Methods(number)), _) => number,
            _ => 0.0,
        }
    }

    /// [`Settings::number`], as steps use it.
    #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
    pub fn f32(&self, key: &str) -> f32 {
        self.number(key) as f32
    }

    /// A word; empty of a kind without the key.
    pub fn word(&self, key: &str) -> &'a str {
        match (self.given.get(key), self.default(key)) {
            (Some(KeyValue::Word(word)), _) => word,
            (_, Some(Value::Word(word))) => word,
            _ => "",
        }
    }

    /// Yes or no; no of a kind without the key.
    pub fn flag(&self, key: &str) -> bool {
        match (self.given.get(key), self.default(key)) {
            (Some(KeyValue::Flag(flag)), _) => *flag,
            (_, Some(Value::Flag(flag))) => flag,
            _ => false,
        }
    }
}

/// A table of a recipe whose keys depend on its kind.
pub(super) struct Table<'a> {
    /// Dotted name, as `method.gate`.
    pub(super) name: &'static str,
    /// What to add to a value that is told, as ` (after `fc1`)`.
    pub(super) whose: &'a str,
    /// What the kind is called, as "a gate of kind `normal`".
    pub(super) kind: &'a str,
    /// The table's other keys.
    pub(super) others: &'static [&'static str],
    /// The keys of all kinds.
    pub(super) of_all: Vec<&'static Key>,
}

impl Table<'_> {
    /// Checks that each given key is one of the kind's, means something beside the others, and is in its range.
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
