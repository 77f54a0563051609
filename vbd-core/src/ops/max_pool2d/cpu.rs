//! Max-pooling with kernels, over all channels of the input.

use rayon::prelude::*;
use vbd_net::graph::Window;

use crate::kernels::pool::{self, PoolOutput};
use crate::ops::{Backward, Plain};

/// Maximum of each window.
pub(in crate::ops) struct Cpu {
    pub(in crate::ops) window: Window,
}

impl Plain for Cpu {
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], lanes: usize) {
        let window = &self.window;
        let area = window.input[0] * window.input[1];
        y.par_chunks_mut(window.positions() * lanes)
            .zip(inputs[0].par_chunks(area * lanes))
            .for_each(|(y, x)| pool::forward(x, y, window, lanes));
    }

    fn backward(&self, _input: usize, of: Backward<'_>, g_x: &mut [f32], lanes: usize) {
        let window = &self.window;
        let area = window.input[0] * window.input[1] * lanes;
        let out = window.positions() * lanes;
        let pooled = of.x.par_chunks(area).zip(of.y.par_chunks(out));
        let channels = of.g.par_chunks(out).zip(pooled);
        g_x.par_chunks_mut(area).zip(channels).for_each_init(
            || vec![0.0; lanes],
            |left, (g_x, (g, (x, y)))| {
                pool::backward(g_x, g, PoolOutput { x, y }, window, left);
            },
        );
    }
}
