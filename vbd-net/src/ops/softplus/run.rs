//! Softplus in the sparse runtime.

use super::softplus;
use crate::ops::{Inputs, Places, Unweighted};

/// `ln(1 + e^x)`.
#[derive(Debug)]
pub(in crate::ops) struct Run;

impl Unweighted for Run {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(softplus(inputs[0]))
    }

    fn run(&self, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let (from, to, least) = (at.from[0], at.to, at.least());
        let len = at.output.width * lanes;
        for (unit, row) in at.rows() {
            let x = &inputs.get(0)[from.row(unit, row) * lanes..][..len];
            let y = &mut y[to.row(unit, row) * lanes..][..len];
            for (y, &x) in y.iter_mut().zip(x) {
                *y = softplus(x).max(least);
            }
        }
    }
}
