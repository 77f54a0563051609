//! Normalised inputs of a batch, feature-major.

use rayon::prelude::*;
use vbd_net::data::Values;
use vbd_net::runtime::Pixel;
use vbd_net::spec::Normalizer;

use crate::data::Batch;

/// Input features per piece of work.
const GATHER_CHUNK: usize = 64;

/// Normalises some input values of each sample. Lanes beyond the batch are 0.
///
/// # Shapes
/// - `out`: `[places, lanes]`
pub(super) fn gather(
    out: &mut [f32],
    places: &[u32],
    batch: &Batch,
    normalizer: &Normalizer,
    lanes: usize,
) {
    out.par_chunks_mut(GATHER_CHUNK * lanes)
        .zip(places.par_chunks(GATHER_CHUNK))
        .for_each(|(out, places)| {
            for row in out.chunks_exact_mut(lanes) {
                row[batch.len()..].fill(0.0);
            }
            match batch.inputs() {
                Values::U8(pixels) => rows(out, places, pixels, normalizer, lanes),
                Values::F32(pixels) => rows(out, places, pixels, normalizer, lanes),
            }
        });
}

fn rows<T: Pixel>(
    out: &mut [f32],
    places: &[u32],
    pixels: &[T],
    normalizer: &Normalizer,
    lanes: usize,
) {
    for (sample, pixels) in pixels.chunks_exact(normalizer.mean.len()).enumerate() {
        for (row, &place) in places.iter().enumerate() {
            let place = place as usize;
            out[row * lanes + sample] = normalizer.value(pixels[place], place);
        }
    }
}
