//! How layers without a weight run: what the sparse runtime asks of them.

use std::fmt::Debug;

use crate::passes::Extent;
use crate::runtime::{Buffer, Layout};

/// A layer without a weight in the sparse runtime: each unit of the output is made of the inputs' units of the
/// same number.
pub(crate) trait Unweighted: Debug + Send + Sync {
    /// What comes out of a unit whose inputs always are these.
    fn constant(&self, inputs: &[f32]) -> f32;

    /// The outputs of `lanes` samples, 1 or many.
    fn run(&self, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize);
}

/// Where the values lie.
#[derive(Debug)]
pub(crate) struct Places {
    /// Whether negative outputs become 0.
    pub(crate) relu: bool,
    pub(crate) output: Extent,
    /// Of each input.
    pub(crate) from: Vec<Layout>,
    pub(crate) to: Layout,
}

impl Places {
    /// The least value that comes out.
    pub(crate) fn least(&self) -> f32 {
        if self.relu { 0.0 } else { f32::NEG_INFINITY }
    }

    /// Each unit and row of the output.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Extent { units, height, .. } = self.output;
        (0..units).flat_map(move |unit| (0..height).map(move |row| (unit, row)))
    }
}

/// The values that come in.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) buffers: &'a [Buffer],
    /// Which of the buffers they are in.
    pub(crate) numbers: &'a [usize],
}

impl<'a> Inputs<'a> {
    /// The values of one input.
    pub(crate) fn get(self, input: usize) -> &'a [f32] {
        self.buffers[self.numbers[input]].get()
    }
}

/// The values as they are: an activation by itself, or a value in another layout.
#[derive(Debug)]
pub(crate) struct Copied;

impl Unweighted for Copied {
    fn constant(&self, inputs: &[f32]) -> f32 {
        inputs[0]
    }

    fn run(&self, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let (from, to, least) = (at.from[0], at.to, at.least());
        let len = at.output.width * lanes;
        for (unit, row) in at.rows() {
            let x = &inputs.get(0)[from.row(unit, row) * lanes..][..len];
            let y = &mut y[to.row(unit, row) * lanes..][..len];
            for (y, x) in y.iter_mut().zip(x) {
                *y = x.max(least);
            }
        }
    }
}
