//! Max-pooling in the sparse runtime, where it is not fused with a convolution.

use super::MaxPool2d;
use crate::ops::{Inputs, Places, Unweighted};

impl Unweighted for MaxPool2d {
    fn constant(&self, inputs: &[f32]) -> f32 {
        inputs[0]
    }

    fn run(&self, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let (kernel, from, least) = (self.kernel, at.from[0], at.least());
        let x = inputs.get(0);
        for (unit, row) in at.rows() {
            for col in 0..at.output.width {
                let y = &mut y[(at.to.row(unit, row) + col) * lanes..][..lanes];
                y.fill(least);
                for window in 0..kernel * kernel {
                    let (dy, dx) = (window / kernel, window % kernel);
                    let place = from.row(unit, row * kernel + dy) + col * kernel + dx;
                    for (y, &x) in y.iter_mut().zip(&x[place * lanes..][..lanes]) {
                        *y = y.max(x);
                    }
                }
            }
        }
    }
}
