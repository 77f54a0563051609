//! Max-pooling in the sparse runtime, where it is not fused with a convolution.

use pulp::Arch;

use super::MaxPool2d;
use crate::ops::pooling::Pooling;
use crate::ops::{Inputs, Places, Unweighted};

impl Unweighted for MaxPool2d {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(inputs[0])
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let max = Pooling {
            start: at.least(),
            join: |most: f32, x: f32| if x > most { x } else { most },
            finish: |most| most,
        };
        max.run(arch, inputs, y, at, lanes);
    }
}
