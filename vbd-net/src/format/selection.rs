//! The index of a selection: which input units it keeps, I32, increasing.

use crate::tensor_file::RawTensor;
use safetensors::Dtype;

use super::LayoutTensor;
use super::file_tensors::FileTensors;
use crate::error::Result;
use crate::problem::Problem;

pub(crate) fn part(index: &[u32]) -> LayoutTensor {
    LayoutTensor::new("", Dtype::I32, &[index.len()])
}

pub(crate) fn encode(index: &[u32]) -> RawTensor {
    // Below 2^24, so that I32 has the same bytes.
    RawTensor {
        dtype: Dtype::I32,
        ..RawTensor::u32(index)
    }
}

/// Takes the tensor of `units` indices below `all`.
pub(crate) fn decode(
    file: &mut FileTensors<'_>,
    tensor: &str,
    units: usize,
    all: usize,
) -> Result<Vec<u32>> {
    let raw = file.take(tensor, &[Dtype::I32], Some(&[units]))?;
    let mut index: Vec<u32> = Vec::with_capacity(units);
    for word in raw.bytes.chunks_exact(4) {
        let found = i32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let place = u32::try_from(found).ok().filter(|&place| {
            (place as usize) < all && index.last().is_none_or(|&last| last < place)
        });
        let Some(place) = place else {
            let place = index.len();
            return Err(file.problem(tensor, Problem::Index { place, found, all }));
        };
        index.push(place);
    }
    Ok(index)
}
