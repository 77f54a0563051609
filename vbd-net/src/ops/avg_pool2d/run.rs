//! Average pooling in the sparse runtime.

use pulp::Arch;

use super::AvgPool2d;
use crate::ops::pooling::{Pooling, pool};
use crate::ops::{Inputs, Places, Unweighted};

impl Unweighted for AvgPool2d {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        // At the edge of a padded image, a window averages zeros too.
        (self.padding.is_zero() || inputs[0] == 0.0).then_some(inputs[0])
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let window = at.window.expect("a pool has a window");
        let average = Average {
            factor: 1.0 / window.area() as f32,
            least: at.least(),
        };
        pool(average, arch, inputs, y, at, lanes);
    }
}

/// Sum times `factor`, at least `least`.
#[derive(Clone, Copy)]
struct Average {
    factor: f32,
    least: f32,
}

impl Pooling for Average {
    #[inline(always)]
    fn start(self) -> f32 {
        0.0
    }

    #[inline(always)]
    fn join(self, sum: f32, x: f32) -> f32 {
        sum + x
    }

    #[inline(always)]
    fn finish(self, sum: f32) -> f32 {
        (sum * self.factor).max(self.least)
    }
}
