//! How large a safetensors file will be, to the byte, before it is written.

use std::cmp::Reverse;

use crate::tensor_file::METADATA_KEY;
use safetensors::Dtype;

use super::layout::Part;

/// A tensor as a file's header has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: usize,
}

impl Declared {
    /// A part of the tensor `prefix`.
    pub(crate) fn part(prefix: &str, part: &Part) -> Self {
        Self {
            name: format!("{prefix}{}", part.suffix),
            dtype: part.dtype,
            shape: part.shape.clone(),
            bytes: part.bytes(),
        }
    }

    /// Bytes of its header entry with the comma before it, if its data start at `offset`.
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

/// Bytes of a file with these tensors and a metadata string that is `json_len` long as JSON, quotes
/// and escapes included. Tensors come by type, widest first, then by name, as safetensors has them.
pub(crate) fn file_size(tensors: &[Declared], json_len: usize) -> usize {
    let mut order: Vec<&Declared> = tensors.iter().collect();
    order.sort_by(|a, b| (Reverse(a.dtype), &a.name).cmp(&(Reverse(b.dtype), &b.name)));
    let mut header = r#"{"__metadata__":{"":}}"#.len() + METADATA_KEY.len() + json_len;
    let mut offset = 0;
    for tensor in order {
        header += tensor.entry_len(offset);
        offset += tensor.bytes;
    }
    size_of::<u64>() + header.next_multiple_of(8) + offset
}
