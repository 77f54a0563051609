//! The sum in the sparse runtime.

use pulp::{Arch, Simd, WithSimd};

use crate::ops::{Inputs, Places, Unweighted};

/// The sum of all inputs, in their order.
#[derive(Debug)]
pub(in crate::ops) struct Sum;

impl Unweighted for Sum {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(inputs.iter().sum())
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        arch.dispatch(Run {
            inputs,
            y,
            at,
            lanes,
        });
    }
}

struct Run<'a> {
    inputs: Inputs<'a>,
    y: &'a mut [f32],
    at: &'a Places,
    lanes: usize,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            inputs,
            y,
            at,
            lanes,
        } = self;
        let len = at.output.width * lanes;
        let last = at.from.len() - 1;
        for unit in 0..at.output.units {
            for row in 0..at.output.height {
                let y = &mut y[at.to.row(unit, row) * lanes..][..len];
                for (input, from) in at.from.iter().enumerate() {
                    let x = &inputs.get(input)[from.row(unit, row) * lanes..][..len];
                    if input == 0 {
                        y.copy_from_slice(x);
                        continue;
                    }
                    let least = if input == last {
                        at.least()
                    } else {
                        f32::NEG_INFINITY
                    };
                    for (y, x) in y.iter_mut().zip(x) {
                        *y = (*y + x).max(least);
                    }
                }
            }
        }
    }
}
