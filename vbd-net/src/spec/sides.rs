//! Sizes of windows, as in TOML and JSON.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// Rows and columns. In TOML and JSON a number if they are equal, else `[rows, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

impl Sides {
    /// Creates equal sides.
    pub const fn square(side: usize) -> Self {
        Self {
            rows: side,
            columns: side,
        }
    }

    /// Returns rows and columns.
    pub fn pair(self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Returns the side of a square.
    pub fn as_square(self) -> Option<usize> {
        (self.rows == self.columns).then_some(self.rows)
    }

    pub(crate) const fn one() -> Self {
        Self::square(1)
    }

    pub(crate) fn is_one(&self) -> bool {
        *self == Self::one()
    }

    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::square(0)
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_square() {
            Some(side) => write!(out, "{side}"),
            None => write!(out, "{} x {}", self.rows, self.columns),
        }
    }
}

impl From<usize> for Sides {
    fn from(side: usize) -> Self {
        Self::square(side)
    }
}

/// Zero padding of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The same number of zeros on opposite sides.
    Sides(Sides),
    /// `"same"`: `ceil(size / stride)` outputs, as in TensorFlow. An odd number of zeros puts the
    /// additional one below and to the right.
    Same,
}

impl Padding {
    pub(crate) fn is_default(&self) -> bool {
        matches!(self, Self::Sides(sides) if sides.is_zero())
    }
}

impl Default for Padding {
    fn default() -> Self {
        Self::Sides(Sides::square(0))
    }
}

/// Groups of a convolution's channels that do not mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// A number that divides the channels of input and output.
    Number(usize),
    /// `"depthwise"`: one group per input channel.
    Depthwise,
}

impl Groups {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self::Number(1)
    }
}

/// Window of an average pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolWindow {
    /// A window of this size.
    Sides(Sides),
    /// `"all"`: the whole image.
    All,
}

/// A number, a pair, or a word.
enum Value {
    Sides(Sides),
    Word,
}

/// Reads a [`Value`] with one permitted word.
struct ValueVisitor {
    word: Option<&'static str>,
    pairs: bool,
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number")?;
        match (self.pairs, self.word) {
            (true, Some(word)) => write!(out, ", [rows, columns] or \"{word}\""),
            (true, None) => out.write_str(" or [rows, columns]"),
            (false, Some(word)) => write!(out, " or \"{word}\""),
            (false, None) => Ok(()),
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        let side = usize::try_from(value)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
        Ok(Value::Sides(Sides::square(side)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        if self.word == Some(value) {
            Ok(Value::Word)
        } else {
            Err(E::invalid_value(de::Unexpected::Str(value), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        if !self.pairs {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut next = |place| {
            let value = values.next_element::<usize>()?;
            value.ok_or_else(|| de::Error::invalid_length(place, &"[rows, columns]"))
        };
        let (rows, columns) = (next(0)?, next(1)?);
        if values.next_element::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(3, &"[rows, columns]"));
        }
        Ok(Value::Sides(Sides { rows, columns }))
    }
}

impl<'de> Deserialize<'de> for Sides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ValueVisitor {
            word: None,
            pairs: true,
        };
        match deserializer.deserialize_any(visitor)? {
            Value::Sides(sides) => Ok(sides),
            Value::Word => Err(de::Error::custom("no word is permitted")),
        }
    }
}

impl Serialize for Sides {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(side) = self.as_square() {
            return side.serialize(serializer);
        }
        let mut pair = serializer.serialize_seq(Some(2))?;
        pair.serialize_element(&self.rows)?;
        pair.serialize_element(&self.columns)?;
        pair.end()
    }
}

impl<'de> Deserialize<'de> for Padding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ValueVisitor {
            word: Some("same"),
            pairs: true,
        };
        Ok(match deserializer.deserialize_any(visitor)? {
            Value::Sides(sides) => Self::Sides(sides),
            Value::Word => Self::Same,
        })
    }
}

impl Serialize for Padding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sides(sides) => sides.serialize(serializer),
            Self::Same => serializer.serialize_str("same"),
        }
    }
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ValueVisitor {
            word: Some("depthwise"),
            pairs: false,
        };
        Ok(match deserializer.deserialize_any(visitor)? {
            Value::Sides(sides) => Self::Number(sides.rows),
            Value::Word => Self::Depthwise,
        })
    }
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => number.serialize(serializer),
            Self::Depthwise => serializer.serialize_str("depthwise"),
        }
    }
}

impl<'de> Deserialize<'de> for PoolWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ValueVisitor {
            word: Some("all"),
            pairs: true,
        };
        Ok(match deserializer.deserialize_any(visitor)? {
            Value::Sides(sides) => Self::Sides(sides),
            Value::Word => Self::All,
        })
    }
}

impl Serialize for PoolWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sides(sides) => sides.serialize(serializer),
            Self::All => serializer.serialize_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round<T: Serialize + for<'a> Deserialize<'a>>(text: &str) -> String {
        serde_json::to_string(&serde_json::from_str::<T>(text).unwrap()).unwrap()
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["3", "[10,4]"] {
            assert_eq!(round::<Sides>(text), text);
            assert_eq!(round::<Padding>(text), text);
            assert_eq!(round::<PoolWindow>(text), text);
        }
        assert_eq!(round::<Sides>("[5,5]"), "5");
        assert_eq!(round::<Padding>("\"same\""), "\"same\"");
        assert_eq!(round::<PoolWindow>("\"all\""), "\"all\"");
        assert_eq!(round::<Groups>("4"), "4");
        assert_eq!(round::<Groups>("\"depthwise\""), "\"depthwise\"");
    }

    #[test]
    fn other_values_are_refused_and_the_right_ones_named() {
        for (text, expected) in [
            ("\"valid\"", "a number, [rows, columns] or \"same\""),
            ("-1", "a number, [rows, columns] or \"same\""),
            ("[1]", "[rows, columns]"),
            ("[1,2,3]", "[rows, columns]"),
            ("true", "a number, [rows, columns] or \"same\""),
        ] {
            let error = serde_json::from_str::<Padding>(text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = serde_json::from_str::<Groups>("[1,2]").unwrap_err();
        assert!(error.to_string().contains("a number or \"depthwise\""));
        let error = serde_json::from_str::<Sides>("\"all\"").unwrap_err();
        assert!(error.to_string().contains("a number or [rows, columns]"));
    }
}
