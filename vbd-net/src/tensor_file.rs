//! Safetensors files with one JSON string in the metadata, under the key `vbd`.
//!
//! There is only one key because safetensors keeps metadata in a hash map, which would write
//! several keys in random order.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::foreign;
use crate::format::ValueType;

/// Metadata key of all files of this project.
pub const METADATA_KEY: &str = "vbd";
/// Tensor of a sealed file with the CRC-32 of all its other bytes.
const CHECKSUM: &str = "crc32";

/// Error of reading or writing a tensor file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFileError {
    /// Not a complete safetensors file.
    #[error("not a complete safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// A file of another program.
    #[error("not a safetensors file: this is {0}")]
    Foreign(&'static str),
    /// A safetensors file without `vbd` metadata.
    #[error("missing `{METADATA_KEY}` metadata: not written by vbd")]
    NoMetadata,
    /// The checksum is missing.
    #[error("missing `{CHECKSUM}`: incomplete file")]
    NoChecksum,
    /// The checksum does not match.
    #[error("checksum mismatch: `{CHECKSUM}` is {stated:08x}, content has {found:08x}")]
    Damaged {
        /// Checksum in the file.
        stated: u32,
        /// Checksum of the bytes.
        found: u32,
    },
}

/// Bytes of a tensor with type and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor {
    /// Value type.
    pub dtype: Dtype,
    /// Dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Little-endian values.
    pub bytes: Vec<u8>,
}

impl RawTensor {
    /// Creates a tensor of f32.
    pub fn f32(shape: &[usize], values: &[f32]) -> Self {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Self {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            bytes,
        }
    }

    /// Creates a one-dimensional tensor of u32.
    pub fn u32(values: &[u32]) -> Self {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Self {
            dtype: Dtype::U32,
            shape: vec![values.len()],
            bytes,
        }
    }

    /// Returns the values, if they are f32.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        (self.dtype == Dtype::F32).then(|| words(&self.bytes).map(f32::from_le_bytes).collect())
    }

    /// Returns the values, if they are f32, f16 or bf16.
    pub fn to_floats(&self) -> Option<Vec<f32>> {
        let mut types = ValueType::ALL.into_iter();
        let values = types.find(|values| values.dtype() == self.dtype)?;
        Some(values.values(&self.bytes).collect())
    }

    /// Returns the values, if they are u32.
    pub fn to_u32(&self) -> Option<Vec<u32>> {
        (self.dtype == Dtype::U32).then(|| words(&self.bytes).map(u32::from_le_bytes).collect())
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes
        .chunks_exact(4)
        .map(|word| [word[0], word[1], word[2], word[3]])
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, RawTensor>;

/// Encodes a file with these tensors and this JSON. The same input gives the same bytes.
///
/// # Errors
/// [`TensorFileError::Safetensors`] if a tensor's bytes do not fill its shape.
pub fn to_bytes(tensors: &Tensors, json: String) -> Result<Vec<u8>, TensorFileError> {
    to_bytes_with(tensors, METADATA_KEY, json)
}

/// Encodes a file with these tensors for another program, with one entry of metadata.
///
/// # Errors
/// Those of [`to_bytes`].
pub fn to_bytes_with(
    tensors: &Tensors,
    key: &str,
    value: String,
) -> Result<Vec<u8>, TensorFileError> {
    let metadata = HashMap::from([(key.to_owned(), value)]);
    Ok(safetensors::serialize(views(tensors)?, Some(metadata))?)
}

fn views(tensors: &Tensors) -> Result<Vec<(&String, TensorView<'_>)>, SafeTensorError> {
    let views = tensors.iter().map(|(name, raw)| {
        let view = TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes)?;
        Ok((name, view))
    });
    views.collect()
}

/// Like [`to_bytes`], with the CRC-32 of the file's bytes in an extra tensor, for [`check_seal`].
///
/// # Errors
/// Those of [`to_bytes`].
pub fn to_sealed_bytes(mut tensors: Tensors, json: String) -> Result<Vec<u8>, TensorFileError> {
    tensors.insert(CHECKSUM.to_owned(), RawTensor::u32(&[0]));
    let mut bytes = to_bytes(&tensors, json)?;
    let place = checksum_place(&bytes)?;
    let checksum = checksum(&bytes, &place).to_le_bytes();
    bytes[place].copy_from_slice(&checksum);
    Ok(bytes)
}

/// Checks the checksum of a sealed file.
///
/// # Errors
/// [`TensorFileError::Damaged`] if it does not match; [`TensorFileError::NoChecksum`] if the file
/// is not sealed; [`TensorFileError::Safetensors`] if it is not a complete safetensors file.
pub fn check_seal(bytes: &[u8]) -> Result<(), TensorFileError> {
    let place = checksum_place(bytes)?;
    let stated = words(&bytes[place.clone()]).next().map(u32::from_le_bytes);
    let stated = stated.ok_or(TensorFileError::NoChecksum)?;
    let found = checksum(bytes, &place);
    if found == stated {
        Ok(())
    } else {
        Err(TensorFileError::Damaged { stated, found })
    }
}

/// Computes the CRC-32 of a file's bytes with its own bytes set to zero.
fn checksum(bytes: &[u8], place: &Range<usize>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..place.start]);
    hasher.update(&[0; 4]);
    hasher.update(&bytes[place.end..]);
    hasher.finalize()
}

/// Returns the byte range of the checksum.
fn checksum_place(bytes: &[u8]) -> Result<Range<usize>, TensorFileError> {
    // Before the header, its length as a u64.
    const LENGTH: usize = 8;
    let (header, metadata) = read_metadata(bytes)?;
    let info = metadata.info(CHECKSUM).ok_or(TensorFileError::NoChecksum)?;
    let (from, to) = info.data_offsets;
    let place = LENGTH + header + from..LENGTH + header + to;
    if place.len() == 4 && place.end <= bytes.len() {
        Ok(place)
    } else {
        Err(TensorFileError::NoChecksum)
    }
}

/// Reads the header, or names the file if it is of another program.
fn read_metadata(bytes: &[u8]) -> Result<(usize, Metadata), TensorFileError> {
    SafeTensors::read_metadata(bytes).map_err(|error| match foreign::kind_of(bytes) {
        Some(kind) => TensorFileError::Foreign(kind),
        None => error.into(),
    })
}

/// Decodes a file's tensors and JSON. Checks sizes against the bytes before allocating.
///
/// # Errors
/// [`TensorFileError`] if the bytes are not a safetensors file or have no `vbd` metadata.
pub fn from_bytes(bytes: &[u8]) -> Result<(Tensors, String), TensorFileError> {
    let (_, metadata) = read_metadata(bytes)?;
    let json = metadata
        .metadata()
        .as_ref()
        .and_then(|map| map.get(METADATA_KEY));
    let json = json.ok_or(TensorFileError::NoMetadata)?.clone();
    Ok((tensors_of(bytes)?, json))
}

/// Decodes the tensors of any safetensors file. Checks sizes against the bytes before allocating.
///
/// # Errors
/// [`TensorFileError`] if the bytes are not a safetensors file.
pub fn tensors_of(bytes: &[u8]) -> Result<Tensors, TensorFileError> {
    read_metadata(bytes)?;
    let file = SafeTensors::deserialize(bytes)?;
    let tensors = file.iter().map(|(name, view)| {
        let raw = RawTensor {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        (name.to_owned(), raw)
    });
    Ok(tensors.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_of_a_sealed_file_is_seen() {
        let tensors = Tensors::from([("a".to_owned(), RawTensor::f32(&[3], &[1.0, -2.0, 0.5]))]);
        let bytes = to_sealed_bytes(tensors, "{\"version\":7}".to_owned()).unwrap();
        check_seal(&bytes).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check_seal(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(check_seal(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn floats_of_any_width_are_read_and_other_types_are_not() {
        let values = [1.0, -2.5, 0.0];
        for dtype in ValueType::ALL {
            let raw = dtype.tensor(&[3], &values);
            assert_eq!(raw.to_floats(), Some(values.to_vec()), "{dtype:?}");
        }
        assert_eq!(RawTensor::u32(&[1]).to_floats(), None);
    }

    #[test]
    fn tensors_are_read_without_our_metadata() {
        let raw = RawTensor::f32(&[1], &[0.5]);
        let tensors = Tensors::from([("a".to_owned(), raw)]);
        let bytes = safetensors::serialize(views(&tensors).unwrap(), None).unwrap();
        assert_eq!(tensors_of(&bytes).unwrap(), tensors);
        assert!(matches!(
            from_bytes(&bytes),
            Err(TensorFileError::NoMetadata)
        ));
        for len in 0..bytes.len() {
            assert!(tensors_of(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_missing_seal_has_its_own_error() {
        let bytes = to_bytes(&Tensors::new(), "{}".to_owned()).unwrap();
        assert!(matches!(
            check_seal(&bytes),
            Err(TensorFileError::NoChecksum)
        ));
    }
}
