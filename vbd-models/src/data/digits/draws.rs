//! Random numbers of one sample, in the order of use.

use vbd_core::noise::{NoiseKey, Stream};

/// Maximum number of uniform and normal numbers per sample; a test of `pen` covers every shape.
const UNIFORMS: usize = 4;
const NORMALS: usize = 128;
/// Uniform numbers.
const UNIFORM: Stream = Stream::Other(0xD161);
/// Normal numbers.
const NORMAL: Stream = Stream::Other(0xD162);

/// Draws that depend only on seed, split and index of the sample.
pub(super) struct Draws {
    uniform: [f32; UNIFORMS],
    normal: [f32; NORMALS],
    next_uniform: usize,
    next_normal: usize,
}

impl Draws {
    /// Creates the draws of sample `index` of a split.
    pub(super) fn new(seed: u64, split: u32, index: u32) -> Self {
        let mut draws = Self {
            uniform: [0.0; UNIFORMS],
            normal: [0.0; NORMALS],
            next_uniform: 0,
            next_normal: 0,
        };
        let key = NoiseKey {
            seed,
            step: split,
            stream: UNIFORM,
        };
        key.fill_uniform(index, &mut draws.uniform);
        NoiseKey {
            stream: NORMAL,
            ..key
        }
        .fill_normal(index, &mut draws.normal);
        draws
    }

    /// Draws a uniform number in (0, 1].
    pub(super) fn uniform(&mut self) -> f32 {
        self.next_uniform += 1;
        self.uniform[self.next_uniform - 1]
    }

    /// Draws a standard normal number.
    pub(super) fn normal(&mut self) -> f32 {
        self.next_normal += 1;
        self.normal[self.next_normal - 1]
    }
}
