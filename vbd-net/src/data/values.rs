//! Input values: bytes or f32.

use std::ops::Range;

/// Values of consecutive samples, of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Pixels of 0 to 255.
    U8(Vec<u8>),
    /// Any finite numbers.
    F32(Vec<f32>),
}

/// Borrowed values of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values<'a> {
    /// Pixels of 0 to 255.
    U8(&'a [u8]),
    /// Any finite numbers.
    F32(&'a [f32]),
}

/// Mutably borrowed values of samples.
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
    /// Returns all values.
    pub fn values(&self) -> Values<'_> {
        match self {
            Self::U8(values) => Values::U8(values),
            Self::F32(values) => Values::F32(values),
        }
    }

    /// Returns row `row` of rows of `len` values.
    ///
    /// # Panics
    /// If the row is out of range.
    pub fn row_mut(&mut self, row: usize, len: usize) -> ValuesMut<'_> {
        match self {
            Self::U8(values) => ValuesMut::U8(&mut values[row * len..][..len]),
            Self::F32(values) => ValuesMut::F32(&mut values[row * len..][..len]),
        }
    }

    /// Removes all values and adopts the type of `like`.
    pub fn clear_for(&mut self, like: Values<'_>) {
        match (self, like) {
            (Self::U8(values), Values::U8(_)) => values.clear(),
            (Self::F32(values), Values::F32(_)) => values.clear(),
            (inputs, Values::U8(_)) => *inputs = Self::U8(Vec::new()),
            (inputs, Values::F32(_)) => *inputs = Self::F32(Vec::new()),
        }
    }

    /// Appends values. If the types differ, bytes are converted to f32.
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
    /// Returns the number of values.
    pub fn len(self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Returns whether there are no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns a range of the values.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[must_use]
    pub fn range(self, range: Range<usize>) -> Self {
        match self {
            Self::U8(values) => Self::U8(&values[range]),
            Self::F32(values) => Self::F32(&values[range]),
        }
    }

    /// Returns the values if they are bytes.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::U8(values) => Some(values),
            Self::F32(_) => None,
        }
    }

    /// Converts the values to f32.
    pub fn to_f32(self) -> Vec<f32> {
        match self {
            Self::U8(values) => values.iter().map(|&value| f32::from(value)).collect(),
            Self::F32(values) => values.to_vec(),
        }
    }

    /// Returns index and value of the first NaN or infinity.
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
