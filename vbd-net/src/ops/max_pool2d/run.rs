//! Max-pooling in the sparse runtime, where it is not fused with a convolution.

use pulp::Arch;

use super::MaxPool2d;
use crate::ops::pooling::{Pooling, pool};
use crate::ops::{Inputs, Places, Unweighted};

impl Unweighted for MaxPool2d {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(inputs[0])
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let least = at.least();
        pool(Max { least }, arch, inputs, y, at, lanes);
    }
}

/// Maximum, of at least `least`.
#[derive(Clone, Copy)]
struct Max {
    least: f32,
}

impl Pooling for Max {
    #[inline(always)]
    fn start(self) -> f32 {
        self.least
    }

    #[inline(always)]
    fn join(self, most: f32, x: f32) -> f32 {
        if x > most { x } else { most }
    }

    #[inline(always)]
    fn finish(self, most: f32) -> f32 {
        most
    }
}
