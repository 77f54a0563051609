//! A safetensors file with one JSON string in its metadata, under the key `vbd`.
//!
//! One key, for safetensors keeps metadata in a hash map: two or more would come out in random order.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

/// The metadata key of every file in our own format.
pub const METADATA_KEY: &str = "vbd";

/// Why bytes are no tensor file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFileError {
    /// Not a whole safetensors file, or not one at all.
    #[error("not a whole safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// A safetensors file of someone else.
    #[error("the metadata have no `{METADATA_KEY}`: not a file of this program")]
    NoMetadata,
}

/// A tensor's bytes with its type and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor {
    /// Type of the values.
    pub dtype: Dtype,
    /// Sizes, slowest first.
    pub shape: Vec<usize>,
    /// Little-endian values.
    pub bytes: Vec<u8>,
}

impl RawTensor {
    /// A tensor of f32.
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

    /// A tensor of u32.
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

    /// The values, if they are f32.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        (self.dtype == Dtype::F32).then(|| words(&self.bytes).map(f32::from_le_bytes).collect())
    }

    /// The values, if they are u32.
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

/// The bytes of a file with these tensors and this JSON; the same input gives the same bytes.
///
/// # Errors
/// [`TensorFileError::Safetensors`] if a tensor's bytes do not fill its shape.
pub fn to_bytes(tensors: &Tensors, json: String) -> Result<Vec<u8>, TensorFileError> {
    let views = tensors
        .iter()
        .map(|(name, raw)| {
            Ok((
                name,
                TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes)?,
            ))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// The tensors and the JSON of a file. Sizes are checked against the bytes before anything is
/// allocated.
///
/// # Errors
/// [`TensorFileError`] if the bytes are no safetensors file, or have no `vbd` in their metadata.
pub fn from_bytes(bytes: &[u8]) -> Result<(Tensors, String), TensorFileError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let json = metadata
        .metadata()
        .as_ref()
        .and_then(|map| map.get(METADATA_KEY));
    let json = json.ok_or(TensorFileError::NoMetadata)?.clone();
    let file = SafeTensors::deserialize(bytes)?;
    let tensors = file.iter().map(|(name, view)| {
        let raw = RawTensor {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        (name.to_owned(), raw)
    });
    Ok((tensors.collect(), json))
}
