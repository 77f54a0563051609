//! Max-pooling with kernels, over all channels of the input.

use rayon::prelude::*;
use vbd_net::graph::Shape;
use vbd_net::ops::MaxPool2d;

use crate::kernels::pool::{self, PoolOutput, Window};
use crate::ops::{Backward, Plain};

/// Maximum of each window.
pub(in crate::ops) struct Cpu {
    window: Window,
}

impl Cpu {
    pub(in crate::ops) fn new(pool: &MaxPool2d, input: Shape) -> Self {
        let (height, width) = match input {
            Shape::Image { height, width, .. } => (height, width),
            Shape::Features(_) => unreachable!("a resolved network has images before its pools"),
        };
        Self {
            window: Window {
                kernel: pool.kernel,
                height,
                width,
            },
        }
    }
}

impl Plain for Cpu {
    fn forward(&self, inputs: &[&[f32]], y: &mut [f32], lanes: usize) {
        let Window { height, width, .. } = self.window;
        y.par_chunks_mut(self.window.positions() * lanes)
            .zip(inputs[0].par_chunks(height * width * lanes))
            .for_each(|(y, x)| pool::forward(x, y, self.window, lanes));
    }

    fn backward(&self, _input: usize, of: Backward<'_>, g_x: &mut [f32], lanes: usize) {
        let Window { height, width, .. } = self.window;
        let (area, out) = (height * width * lanes, self.window.positions() * lanes);
        let pooled = of.x.par_chunks(area).zip(of.y.par_chunks(out));
        let channels = of.g.par_chunks(out).zip(pooled);
        g_x.par_chunks_mut(area).zip(channels).for_each_init(
            || vec![0.0; lanes],
            |left, (g_x, (g, (x, y)))| {
                pool::backward(g_x, g, PoolOutput { x, y }, self.window, left);
            },
        );
    }
}
