//! ReLU with kernels, unless fused with the layer before it.

use rayon::prelude::*;

use crate::kernels::reparameterise::{relu, relu_backward};
use crate::ops::{Backward, Plain};
use crate::step::CHUNK;

/// `max(x, 0)`.
pub(in crate::ops) struct Cpu;

impl Plain for Cpu {
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], _lanes: usize) {
        let chunks = y.par_chunks_mut(CHUNK).zip(inputs[0].par_chunks(CHUNK));
        chunks.for_each(|(y, x)| relu(y, x));
    }

    fn backward(&self, _input: usize, of: Backward<'_>, g_x: &mut [f32], _lanes: usize) {
        backward(of, g_x);
    }
}

/// Computes the gradient through a ReLU, whose outputs are `of.y`, into `g_x`.
pub(in crate::ops) fn backward(of: Backward<'_>, g_x: &mut [f32]) {
    let chunks = of.g.par_chunks(CHUNK).zip(of.y.par_chunks(CHUNK));
    let chunks = g_x.par_chunks_mut(CHUNK).zip(chunks);
    chunks.for_each(|(g_x, (g, y))| relu_backward(g_x, g, y));
}
