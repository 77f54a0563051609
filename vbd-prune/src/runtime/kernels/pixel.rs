//! What comes into a net: raw pixels as bytes or f32, and activations.
#![expect(
    unsafe_code,
    reason = "bounds checks are a fifth of a batch's time: one for all is made before"
)]

use pulp::Simd;

use super::LANES;

/// Neighbouring pixels that are turned together.
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

    /// What a type of pixels does for its turn.
    pub trait Turn: Sized {
        /// Four neighbouring pixels of as many samples as fill a vector: each pixel's vector. The
        /// samples come in the order that [`super::order`] says.
        ///
        /// # Safety
        /// `pixel + starts[i] + 4` is at most `samples.len()` for each sample.
        unsafe fn turn<S: Simd>(
            simd: S,
            samples: &[Self],
            pixel: usize,
            starts: &[usize],
        ) -> [S::f32s; QUAD];

        /// Which sample comes where.
        fn order<S: Simd>(simd: S) -> [usize; super::LANES];
    }
}

/// Four pixels.
///
/// # Safety
/// They lie in `samples`.
#[inline(always)]
unsafe fn quad<T: Copy>(samples: &[T], start: usize) -> [T; QUAD] {
    // SAFETY: the caller's promise.
    let quad = unsafe { samples.get_unchecked(start..start + QUAD) };
    [quad[0], quad[1], quad[2], quad[3]]
}

impl sealed::Turn for f32 {
    #[inline(always)]
    unsafe fn turn<S: Simd>(
        simd: S,
        samples: &[Self],
        pixel: usize,
        starts: &[usize],
    ) -> [S::f32s; QUAD] {
        // SAFETY: the caller's promise.
        let quad = |sample: usize| unsafe { quad(samples, pixel + starts[sample]) };
        if S::F32_LANES < QUAD {
            return quad(0).map(|pixel| simd.splat_f32s(pixel));
        }
        let vector = |from: usize| {
            // Written out, so that they meet in a register and not in memory.
            let pixels = match S::F32_LANES / QUAD {
                4 => [quad(from), quad(from + 1), quad(from + 2), quad(from + 3)],
                2 => [quad(from), quad(from + 1), [0.0; QUAD], [0.0; QUAD]],
                _ => [quad(from), [0.0; QUAD], [0.0; QUAD], [0.0; QUAD]],
            };
            S::as_simd_f32s(&pixels.as_flattened()[..S::F32_LANES]).0[0]
        };
        let step = S::F32_LANES / QUAD;
        simd.deinterleave_shfl_f32s([vector(0), vector(step), vector(2 * step), vector(3 * step)])
    }

    /// Which place of a turned tile each of its rows goes to depends on the instruction set.
    #[inline(always)]
    fn order<S: Simd>(simd: S) -> [usize; LANES] {
        if S::F32_LANES < QUAD {
            return [0; LANES];
        }
        let mut tile = [simd.splat_f32s(0.0); QUAD];
        let rows = bytemuck::cast_slice_mut::<S::f32s, f32>(&mut tile);
        for (row, values) in (0_u8..).zip(rows.chunks_exact_mut(QUAD)) {
            values.fill(f32::from(row));
        }
        let turned = simd.deinterleave_shfl_f32s(tile);
        let mut order = [0; LANES];
        for (place, &row) in bytemuck::cast_slice::<S::f32s, f32>(&turned[..1])
            .iter()
            .enumerate()
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "below 16"
            )]
            let row = row as usize;
            order[row] = place;
        }
        order
    }
}

impl sealed::Turn for u8 {
    #[inline(always)]
    unsafe fn turn<S: Simd>(
        _simd: S,
        samples: &[Self],
        pixel: usize,
        starts: &[usize],
    ) -> [S::f32s; QUAD] {
        // Four bytes are a number, and a vector of them is turned by shifting.
        let mut words = [0; LANES];
        for (word, start) in words[..S::F32_LANES].iter_mut().zip(starts) {
            // SAFETY: the caller's promise.
            *word = u32::from_le_bytes(unsafe { quad(samples, pixel + start) });
        }
        let vector = |side: u32| {
            let mut values = [0.0; LANES];
            for (value, word) in values.iter_mut().zip(words) {
                *value = (word >> (8 * side) & 0xFF).cast_signed() as f32;
            }
            S::as_simd_f32s(&values[..S::F32_LANES]).0[0]
        };
        [vector(0), vector(1), vector(2), vector(3)]
    }

    fn order<S: Simd>(_simd: S) -> [usize; LANES] {
        std::array::from_fn(|sample| sample)
    }
}
