//! Values of inputs: bytes, or f32.

use std::ops::Range;

/// Values of samples, one after another, of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Pixels of 0 to 255.
    U8(Vec<u8>),
    /// Any finite numbers.
    F32(Vec<f32>),
}

/// Values of samples, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values<'a> {
    /// Pixels of 0 to 255.
    U8(&'a [u8]),
    /// Any finite numbers.
    F32(&'a [f32]),
}

/// Values of samples, to be changed.
#[derive(Debug, PartialEq)]
pub enum ValuesMut<'a> {
    /// Pixels of 0 to 255.
    U8(&'a mut [u8]),
    /// Any finite numbers.
    F32(&'a mut [f32]),
}

impl From<Vec<u8>> for Inputs {
    fn from(values: Vec<u8>) -> Self {
        Self::U8(values)
    }
}

impl From<Vec<f32>> for Inputs {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a [u8]> for Values<'a> {
    fn from(values: &'a [u8]) -> Self {
        Self::U8(values)
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a Vec<u8>> for Values<'a> {
    fn from(values: &'a Vec<u8>) -> Self {
        Self::U8(values)
    }
}

impl<'a> From<&'a Vec<f32>> for Values<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl Inputs {
    /// All values.
    pub fn values(&self) -> Values<'_> {
        match self {
            Self::U8(values) => Values::U8(values),
            Self::F32(values) => Values::F32(values),
        }
    }

    /// The values of one row of so many, to be changed.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row_mut(&mut self, row: usize, len: usize) -> ValuesMut<'_> {
        match self {
            Self::U8(values) => ValuesMut::U8(&mut values[row * len..][..len]),
            Self::F32(values) => ValuesMut::F32(&mut values[row * len..][..len]),
        }
    }

    /// Forgets all values and takes on the type of `like`.
    pub fn clear_for(&mut self, like: Values<'_>) {
        match (self, like) {
            (Self::U8(values), Values::U8(_)) => values.clear(),
            (Self::F32(values), Values::F32(_)) => values.clear(),
            (inputs, Values::U8(_)) => *inputs = Self::U8(Vec::new()),
            (inputs, Values::F32(_)) => *inputs = Self::F32(Vec::new()),
        }
    }

    /// Adds values; bytes among f32 become f32, and bytes become f32 where f32 join them.
    pub fn extend(&mut self, values: Values<'_>) {
        match (&mut *self, values) {
            (Self::U8(all), Values::U8(values)) => all.extend_from_slice(values),
            (Self::F32(all), Values::F32(values)) => all.extend_from_slice(values),
            (Self::F32(all), Values::U8(_)) => all.extend(values.to_f32()),
            (Self::U8(_), Values::F32(more)) => {
                let mut all = self.values().to_f32();
                all.extend_from_slice(more);
                *self = Self::F32(all);
            }
        }
    }
}

impl<'a> Values<'a> {
    /// Number of values.
    pub fn len(self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Some of the values.
    ///
    /// # Panics
    /// If the range ends behind them.
    #[must_use]
    pub fn range(self, range: Range<usize>) -> Self {
        match self {
            Self::U8(values) => Self::U8(&values[range]),
            Self::F32(values) => Self::F32(&values[range]),
        }
    }

    /// The values, where they are bytes.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::U8(values) => Some(values),
            Self::F32(_) => None,
        }
    }

    /// The values as f32.
    pub fn to_f32(self) -> Vec<f32> {
        match self {
            Self::U8(values) => values.iter().map(|&value| f32::from(value)).collect(),
            Self::F32(values) => values.to_vec(),
        }
    }

    /// The place and the value of the first that is no finite number.
    pub(crate) fn not_finite(self) -> Option<(usize, f32)> {
        match self {
            Self::U8(_) => None,
            Self::F32(values) => {
                let mut values = values.iter().copied().enumerate();
                values.find(|(_, value)| !value.is_finite())
            }
        }
    }
}
