//! Average pooling with kernels.

use rayon::prelude::*;
use vbd_net::graph::Window;

use crate::kernels::pool;
use crate::ops::{Backward, Plain};

/// Average of each window.
pub(in crate::ops) struct Cpu {
    pub(in crate::ops) window: Window,
}

impl Plain for Cpu {
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], lanes: usize) {
        let window = &self.window;
        let area = window.input[0] * window.input[1];
        y.par_chunks_mut(window.positions() * lanes)
            .zip(inputs[0].par_chunks(area * lanes))
            .for_each(|(y, x)| pool::average(x, y, window, lanes));
    }

    fn backward(&self, _input: usize, of: Backward<'_>, g_x: &mut [f32], lanes: usize) {
        let window = &self.window;
        let area = window.input[0] * window.input[1];
        g_x.par_chunks_mut(area * lanes)
            .zip(of.g.par_chunks(window.positions() * lanes))
            .for_each(|(g_x, g)| pool::average_gradient(g_x, g, window, lanes));
    }
}
