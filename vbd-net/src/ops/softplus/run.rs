//! Softplus in the sparse runtime.

use pulp::Arch;

use super::softplus;
use crate::ops::{Inputs, Places, Unweighted};

/// `ln(1 + e^x)`.
#[derive(Debug)]
pub(in crate::ops) struct Run;

impl Unweighted for Run {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(softplus(inputs[0]))
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        // It is never negative, so that a ReLU after it has no effect.
        at.map(arch, inputs, y, lanes, softplus);
    }
}
