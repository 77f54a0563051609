//! Average pooling in the sparse runtime.

use pulp::Arch;

use super::AvgPool2d;
use crate::ops::pooling::Pooling;
use crate::ops::{Inputs, Places, Unweighted};

impl Unweighted for AvgPool2d {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        // At the edge of a padded image, a window averages zeros too.
        (self.padding.is_zero() || inputs[0] == 0.0).then_some(inputs[0])
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let window = at.window.expect("a pool has a window");
        let (factor, least) = (1.0 / window.area() as f32, at.least());
        let average = Pooling {
            start: 0.0,
            join: |sum: f32, x: f32| sum + x,
            finish: |sum: f32| (sum * factor).max(least),
        };
        average.run(arch, inputs, y, at, lanes);
    }
}
