//! Sum with kernels.

use rayon::prelude::*;

use crate::kernels::reparameterise::add;
use crate::ops::{Backward, Plain, relu};
use crate::step::CHUNK;

/// Sums the inputs in order. Each has the gradient of the sum.
pub(in crate::ops) struct Cpu {
    /// Whether a ReLU follows.
    pub(in crate::ops) relu: bool,
}

impl Plain for Cpu {
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], _lanes: usize) {
        let last = inputs.len() - 1;
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
            for (index, x) in inputs.iter().enumerate() {
                let x = &x[chunk * CHUNK..][..y.len()];
                if index == 0 {
                    y.copy_from_slice(x);
                } else {
                    add(y, x, self.relu && index == last);
                }
            }
        });
    }

    fn backward(&self, _input: usize, of: Backward<'_>, g_x: &mut [f32], _lanes: usize) {
        if self.relu {
            relu::backward(of, g_x);
        } else {
            g_x.copy_from_slice(of.g);
        }
    }
}
