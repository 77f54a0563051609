//! Types of stored values.

use std::fmt;
use std::str::FromStr;

use crate::tensor_file::RawTensor;
use half::{bf16, f16};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Type of a pruned file's weights and biases.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// 32 bits, exact.
    #[default]
    F32,
    /// 16 bits with 11 bits of precision, up to 65504.
    F16,
    /// 16 bits with 8 bits of precision and the range of f32.
    Bf16,
}

impl ValueType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Returns the type's name on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Returns the bytes per value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// Rounds to the nearest value of this type, ties to even. Underflow gives 0.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the value is NaN or infinite, [`Error::Overflow`] if it is too large
    /// for the type. Both name `tensor`.
    ///
    /// ```
    /// use vbd_net::format::ValueType;
    ///
    /// assert_eq!(ValueType::F16.round(0.1, "fc1.weight")?, 0.099975586);
    /// assert_eq!(ValueType::F16.round(1e-9, "fc1.weight")?, 0.0);
    /// assert!(ValueType::F16.round(7e4, "fc1.weight").is_err());
    /// # Ok::<(), vbd_net::Error>(())
    /// ```
    pub fn round(self, value: f32, tensor: &str) -> Result<f32> {
        if !value.is_finite() {
            return Err(Error::NotFinite {
                tensor: tensor.to_owned(),
                value,
            });
        }
        let rounded = match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        };
        if rounded.is_finite() {
            Ok(rounded)
        } else {
            Err(Error::Overflow {
                tensor: tensor.to_owned(),
                value,
                values: self,
            })
        }
    }

    /// Encodes values that are already rounded to this type.
    pub(crate) fn tensor(self, shape: &[usize], values: &[f32]) -> RawTensor {
        let bytes = match self {
            Self::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F16 => values
                .iter()
                .flat_map(|&x| f16::from_f32(x).to_le_bytes())
                .collect(),
            Self::Bf16 => values
                .iter()
                .flat_map(|&x| bf16::from_f32(x).to_le_bytes())
                .collect(),
        };
        RawTensor {
            dtype: self.dtype(),
            shape: shape.to_vec(),
            bytes,
        }
    }

    /// Decodes values of this type.
    pub(crate) fn values(self, bytes: &[u8]) -> impl Iterator<Item = f32> {
        let size = self.size();
        bytes.chunks_exact(size).map(move |word| match self {
            Self::F32 => f32::from_le_bytes([word[0], word[1], word[2], word[3]]),
            Self::F16 => f16::from_le_bytes([word[0], word[1]]).to_f32(),
            Self::Bf16 => bf16::from_le_bytes([word[0], word[1]]).to_f32(),
        })
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ValueType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|values| values.as_str() == text);
        found.ok_or_else(|| format!("expected `f32`, `f16` or `bf16`, got `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_even_and_overflow_is_an_error() {
        assert_eq!(ValueType::Bf16.round(1.0 + 1.0 / 256.0, "w").unwrap(), 1.0);
        assert_eq!(
            ValueType::Bf16.round(1.0 + 3.0 / 256.0, "w").unwrap(),
            1.0 + 1.0 / 64.0
        );
        assert_eq!(ValueType::F16.round(1.0 + 1.0 / 2048.0, "w").unwrap(), 1.0);
        assert_eq!(ValueType::F16.round(65519.0, "w").unwrap(), 65504.0);
        for (values, value) in [(ValueType::F16, 65520.0), (ValueType::Bf16, f32::MAX)] {
            let error = values.round(value, "fc1.weight").unwrap_err();
            assert!(error.to_string().contains("fc1.weight"), "{error}");
            assert!(error.hint().unwrap().contains("f32"));
        }
        for values in ValueType::ALL {
            assert!(matches!(
                values.round(f32::NAN, "w"),
                Err(Error::NotFinite { .. })
            ));
            assert_eq!(values.as_str().parse(), Ok(values));
        }
    }
}
