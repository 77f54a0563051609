//! Layers without a weight in the sparse runtime.

use std::fmt::Debug;

use pulp::{Arch, Simd, WithSimd};

use crate::graph::Window;
use crate::passes::Extent;
use crate::runtime::{Buffer, Layout};

/// A layer without a weight in the sparse runtime. Each output unit depends on the input units with
/// the same number.
pub(crate) trait Unweighted: Debug + Send + Sync {
    /// Returns the output of a unit with constant inputs, if it is constant.
    fn constant(&self, inputs: &[f32]) -> Option<f32>;

    /// Computes the outputs of `lanes` samples, 1 or many.
    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize);
}

/// Layouts of inputs and output.
#[derive(Debug)]
pub(crate) struct Places {
    /// Whether a ReLU follows.
    pub(crate) relu: bool,
    /// Window of a pooling.
    pub(crate) window: Option<Window>,
    pub(crate) output: Extent,
    /// Layout of each input.
    pub(crate) from: Vec<Layout>,
    pub(crate) to: Layout,
}

impl Places {
    /// Returns the lower bound of the outputs: 0 with a ReLU.
    pub(crate) fn least(&self) -> f32 {
        if self.relu { 0.0 } else { f32::NEG_INFINITY }
    }

    /// Applies `f` to each value of the first input. Inlined, it is compiled for the instruction
    /// set.
    pub(crate) fn map(
        &self,
        arch: Arch,
        inputs: Inputs<'_>,
        y: &mut [f32],
        lanes: usize,
        f: impl Fn(f32) -> f32,
    ) {
        let (at, x) = (self, inputs.get(0));
        arch.dispatch(Map { at, x, y, lanes, f });
    }
}

struct Map<'a, F> {
    at: &'a Places,
    x: &'a [f32],
    y: &'a mut [f32],
    lanes: usize,
    f: F,
}

impl<F: Fn(f32) -> f32> WithSimd for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { at, x, y, lanes, f } = self;
        let (from, to, len) = (at.from[0], at.to, at.output.width * lanes);
        for unit in 0..at.output.units {
            for row in 0..at.output.height {
                let x = &x[from.row(unit, row) * lanes..][..len];
                let y = &mut y[to.row(unit, row) * lanes..][..len];
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = f(x);
                }
            }
        }
    }
}

/// Input buffers.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) buffers: &'a [Buffer],
    /// Numbers of the buffers.
    pub(crate) numbers: &'a [usize],
}

impl<'a> Inputs<'a> {
    /// Returns the values of one input.
    pub(crate) fn get(self, input: usize) -> &'a [f32] {
        self.buffers[self.numbers[input]].get()
    }
}

/// Copies values: for an activation by itself, or into another layout.
#[derive(Debug)]
pub(crate) struct Copied;

impl Unweighted for Copied {
    fn constant(&self, inputs: &[f32]) -> Option<f32> {
        Some(inputs[0])
    }

    fn run(&self, arch: Arch, inputs: Inputs<'_>, y: &mut [f32], at: &Places, lanes: usize) {
        let least = at.least();
        at.map(
            arch,
            inputs,
            y,
            lanes,
            #[inline(always)]
            |x| x.max(least),
        );
    }
}
