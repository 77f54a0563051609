//! The mathematics of a step as functions on slices: SIMD, scratch passed in, no Candle types.
//!
//! Activations are feature-major, `[features, lanes]`: SIMD lanes are samples, and the rows of a
//! weight own contiguous rows of its output. Kernels are written with vectors of any width
//! ([`vector`]) and compiled for each instruction set ([`dispatch`]); all give the same bits.

pub(crate) mod batch_norm;
pub(crate) mod buffer;
pub(crate) mod dispatch;
pub(crate) mod dots;
pub(crate) mod gate;
pub(crate) mod math;
pub(crate) mod pool;
pub(crate) mod product;
pub(crate) mod reparameterise;
pub(crate) mod sparse;
pub(crate) mod turn;
pub(crate) mod vector;

/// Activations are padded to a multiple of this many samples: vectors of 4 or 8 fill them, those of
/// 16 all but the last. The padding is finite, and its gradient is 0.
pub(crate) const LANES: usize = 8;

/// Returns values between -1 and 1, for tests.
#[cfg(test)]
pub(crate) fn test_values(seed: u64, len: usize) -> Vec<f32> {
    use crate::noise::{NoiseKey, Stream};
    let mut values = vec![0.0; len];
    NoiseKey {
        seed,
        step: 0,
        stream: Stream::Other(0),
    }
    .fill_uniform(0, &mut values);
    values.into_iter().map(|value| 2.0 * value - 1.0).collect()
}
