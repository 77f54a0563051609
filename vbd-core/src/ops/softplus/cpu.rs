//! Softplus with kernels.

use rayon::prelude::*;
use vbd_net::ops::softplus;

use crate::ops::{Backward, Plain};
use crate::step::CHUNK;

/// `ln(1 + e^x)`, with gradient `1 / (1 + e^-x)`.
pub(in crate::ops) struct Cpu;

impl Plain for Cpu {
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], _lanes: usize) {
        let chunks = y.par_chunks_mut(CHUNK).zip(inputs[0].par_chunks(CHUNK));
        chunks.for_each(|(y, x)| {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = softplus(x);
            }
        });
    }

    fn backward(&self, _input: usize, of: Backward<'_>, g_x: &mut [f32], _lanes: usize) {
        let given = of.g.par_chunks(CHUNK).zip(of.x.par_chunks(CHUNK));
        let chunks = g_x.par_chunks_mut(CHUNK).zip(given);
        chunks.for_each(|(g_x, (g, x))| {
            for ((g_x, &g), &x) in g_x.iter_mut().zip(g).zip(x) {
                // `e^-|x|` does not overflow.
                let small = (-x.abs()).exp();
                let slope = if x > 0.0 { 1.0 } else { small } / (1.0 + small);
                *g_x = g * slope;
            }
        });
    }
}
