//! Inputs of a net: raw pixels as bytes or f32, and activations.
#![expect(
    unsafe_code,
    reason = "bounds checks are a fifth of a batch's time: one for all is made before"
)]

use pulp::Simd;

use super::LANES;

/// Number of neighbouring pixels that are transposed together.
pub(in super::super) const QUAD: usize = 4;

/// An input value: a raw pixel, or an activation.
pub trait Pixel: Copy + Send + Sync + sealed::Turn {
    /// The value.
    fn to_f32(self) -> f32;
}

impl Pixel for u8 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }
}

impl Pixel for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

pub(in super::super) mod sealed {
    use super::{QUAD, Simd};

    /// Transposition of a pixel type.
    pub trait Turn: Sized {
        /// Returns four neighbouring pixels, from `pixel` on, of as many samples as fill a vector:
        /// one vector per pixel. `start` maps a lane to the start of its sample.
        ///
        /// # Safety
        /// `start(i) + pixel + 4` is at most `samples.len()` for each sample.
        unsafe fn turn<S: Simd>(
            simd: S,
            samples: &[Self],
            pixel: usize,
            start: impl Fn(usize) -> usize,
        ) -> [S::f32s; QUAD];
    }
}

/// Reads four pixels.
///
/// # Safety
/// They are inside `samples`.
#[inline(always)]
unsafe fn quad<T: Copy>(samples: &[T], start: usize) -> [T; QUAD] {
    debug_assert!(start + QUAD <= samples.len());
    // SAFETY: the caller's promise; an array is aligned as its elements are.
    unsafe { samples.as_ptr().add(start).cast::<[T; QUAD]>().read() }
}

impl sealed::Turn for f32 {
    #[inline(always)]
    unsafe fn turn<S: Simd>(
        simd: S,
        samples: &[Self],
        pixel: usize,
        start: impl Fn(usize) -> usize,
    ) -> [S::f32s; QUAD] {
        // SAFETY: the caller's promise.
        let quad = |sample: usize| unsafe { quad(samples, start(sample) + pixel) };
        // Transposes each 128-bit part of four registers, which each hold every fourth sample.
        let vector = |first: usize| {
            // Unrolled, so that the parts are combined in a register instead of memory.
            let none = [0.0; QUAD];
            let pixels = match S::F32_LANES / QUAD {
                4 => [
                    quad(first),
                    quad(first + 4),
                    quad(first + 8),
                    quad(first + 12),
                ],
                2 => [quad(first), quad(first + 4), none, none],
                _ => [quad(first), none, none, none],
            };
            S::as_simd_f32s(&pixels.as_flattened()[..S::F32_LANES]).0[0]
        };
        if S::F32_LANES < QUAD {
            return quad(0).map(|pixel| simd.splat_f32s(pixel));
        }
        simd.deinterleave_shfl_f32s([vector(0), vector(1), vector(2), vector(3)])
    }
}

impl sealed::Turn for u8 {
    #[inline(always)]
    unsafe fn turn<S: Simd>(
        _simd: S,
        samples: &[Self],
        pixel: usize,
        start: impl Fn(usize) -> usize,
    ) -> [S::f32s; QUAD] {
        // Four bytes are read as one number; shifts transpose a vector of them.
        let mut words = [0; LANES];
        for (sample, word) in words[..S::F32_LANES].iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *word = u32::from_le_bytes(unsafe { quad(samples, start(sample) + pixel) });
        }
        let vector = |side: u32| {
            let mut values = [0.0; LANES];
            for (value, word) in values.iter_mut().zip(words) {
                *value = ((word >> (8 * side)) & 0xFF).cast_signed() as f32;
            }
            S::as_simd_f32s(&values[..S::F32_LANES]).0[0]
        };
        [vector(0), vector(1), vector(2), vector(3)]
    }
}
