//! Max-pooling in the sparse runtime, where it is not fused with a convolution.

use super::MaxPool2d;
use crate::ops::{Inputs, Places, Unweighted};

impl Unweighted for MaxPool2d {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(inputs[0])
    }

    fn run(&self, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let (x, from, least) = (inputs.get(0), at.from[0], at.least());
        let window = at.window.expect("a pool has a window");
        for (unit, row) in at.rows() {
            for col in 0..at.output.width {
                let y = &mut y[(at.to.row(unit, row) + col) * lanes..][..lanes];
                y.fill(least);
                for place in window.places(row, col) {
                    let place = from.row(unit, place / window.input[1]) + place % window.input[1];
                    for (y, &x) in y.iter_mut().zip(&x[place * lanes..][..lanes]) {
                        *y = y.max(x);
                    }
                }
            }
        }
    }
}
