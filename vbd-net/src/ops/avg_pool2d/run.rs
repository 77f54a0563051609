//! Average pooling in the sparse runtime.

use super::AvgPool2d;
use crate::ops::{Inputs, Places, Unweighted};

impl Unweighted for AvgPool2d {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        // At the edge of a padded image, a window averages zeros too.
        (self.padding.is_zero() || inputs[0] == 0.0).then_some(inputs[0])
    }

    fn run(&self, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let (x, from, least) = (inputs.get(0), at.from[0], at.least());
        let window = at.window.expect("a pool has a window");
        let factor = 1.0 / window.area() as f32;
        for (unit, row) in at.rows() {
            for col in 0..at.output.width {
                let y = &mut y[(at.to.row(unit, row) + col) * lanes..][..lanes];
                y.fill(0.0);
                for place in window.places(row, col) {
                    let place = from.row(unit, place / window.input[1]) + place % window.input[1];
                    for (y, &x) in y.iter_mut().zip(&x[place * lanes..][..lanes]) {
                        *y += x;
                    }
                }
                y.iter_mut().for_each(|y| *y = (*y * factor).max(least));
            }
        }
    }
}
