//! The sum in the sparse runtime.

use pulp::Arch;

use crate::ops::{Inputs, Places, Unweighted};

/// The sum of all inputs, in their order.
#[derive(Debug)]
pub(in crate::ops) struct Sum;

impl Unweighted for Sum {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(inputs.iter().sum())
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        arch.dispatch(
            #[inline(always)]
            || add(inputs, y, at, lanes),
        );
    }
}

#[inline(always)]
fn add(inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
    let len = at.output.width * lanes;
    let last = at.from.len() - 1;
    for (unit, row) in at.rows() {
        let y = &mut y[at.to.row(unit, row) * lanes..][..len];
        for (input, from) in at.from.iter().enumerate() {
            let x = &inputs.get(input)[from.row(unit, row) * lanes..][..len];
            let least = if input == last {
                at.least()
            } else {
                f32::NEG_INFINITY
            };
            if input == 0 {
                y.copy_from_slice(x);
            } else {
                y.iter_mut()
                    .zip(x)
                    .for_each(|(y, x)| *y = (*y + x).max(least));
            }
        }
    }
}
