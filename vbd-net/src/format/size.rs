//! Exact size of a safetensors file before it is written.

use std::cmp::Reverse;

use crate::tensor_file::METADATA_KEY;
use safetensors::Dtype;

use super::layout::LayoutTensor;

/// Header entry of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeclaredSize {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: usize,
}

impl DeclaredSize {
    /// Creates the entry of a part of the tensor `prefix`.
    pub(crate) fn part(prefix: &str, part: &LayoutTensor) -> Self {
        Self {
            name: format!("{prefix}{}", part.suffix),
            dtype: part.dtype,
            shape: part.shape.clone(),
            bytes: part.bytes(),
        }
    }

    /// Returns the bytes of the header entry, including the preceding comma, for data at `offset`.
    pub(crate) fn entry_len(&self, offset: usize) -> usize {
        let sizes: usize = self.shape.iter().map(|&size| digits(size)).sum();
        let commas = self.shape.len().saturating_sub(1);
        // A name has no character that JSON would escape.
        r#","":{"dtype":"","shape":[],"data_offsets":[,]}"#.len()
            + self.name.len()
            + self.dtype.to_string().len()
            + sizes
            + commas
            + digits(offset)
            + digits(offset + self.bytes)
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Returns the bytes of a file with these tensors and a metadata string of `json_len` bytes in
/// JSON, including quotes and escapes. Tensors are ordered by type, widest first, then by name, as
/// in safetensors.
pub(crate) fn file_size(tensors: &[DeclaredSize], json_len: usize) -> usize {
    let mut order: Vec<&DeclaredSize> = tensors.iter().collect();
    order.sort_by(|a, b| (Reverse(a.dtype), &a.name).cmp(&(Reverse(b.dtype), &b.name)));
    let mut header = r#"{"__metadata__":{"":}}"#.len() + METADATA_KEY.len() + json_len;
    let mut offset = 0;
    for tensor in order {
        header += tensor.entry_len(offset);
        offset += tensor.bytes;
    }
    size_of::<u64>() + header.next_multiple_of(8) + offset
}
