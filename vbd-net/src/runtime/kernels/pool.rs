//! Max-pooling by itself, and a ReLU that no layer can take with it.

use super::super::layout::Layout;
use crate::chain::Extent;

/// The largest value of each window, windows side by side.
#[derive(Debug)]
pub(in super::super) struct Pool {
    pub(in super::super) kernel: usize,
    pub(in super::super) relu: bool,
    pub(in super::super) output: Extent,
    pub(in super::super) from: Layout,
    pub(in super::super) to: Layout,
}

impl Pool {
    /// For `lanes` samples, 1 or many.
    pub(in super::super) fn run(&self, x: &[f32], y: &mut [f32], lanes: usize) {
        let Self {
            kernel,
            relu,
            output,
            from,
            to,
        } = *self;
        let (Some(unit_in), Some(unit_out)) = (from.unit_len(), to.unit_len()) else {
            return;
        };
        let least = if relu { 0.0 } else { f32::NEG_INFINITY };
        for unit in 0..output.units {
            for (row, col) in
                (0..output.height).flat_map(|y| (0..output.width).map(move |x| (y, x)))
            {
                let place = (unit * unit_out + to.place(row, col)) * lanes;
                let y = &mut y[place..place + lanes];
                y.fill(least);
                for window in 0..kernel * kernel {
                    let (row, col) = (
                        row * kernel + window / kernel,
                        col * kernel + window % kernel,
                    );
                    let place = (unit * unit_in + from.place(row, col)) * lanes;
                    for (y, &x) in y.iter_mut().zip(&x[place..place + lanes]) {
                        *y = y.max(x);
                    }
                }
            }
        }
    }
}
