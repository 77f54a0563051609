//! ReLU with kernels, unless fused with a weight.

use crate::kernels::reparameterise::{relu, relu_backward};
use crate::ops::{Backward, Plain};

/// `max(x, 0)`.
pub(in crate::ops) struct Cpu;

impl Plain for Cpu {
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], _lanes: usize) {
        relu(y, inputs[0]);
    }

    fn backward(&self, _input: usize, of: Backward<'_>, g_x: &mut [f32], _lanes: usize) {
        relu_backward(g_x, of.g, of.y);
    }
}
