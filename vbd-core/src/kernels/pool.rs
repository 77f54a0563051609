//! Max-pooling with adjacent windows. The first maximum wins; backward finds it by value.

use super::vector::{each_vector, kernel};

/// Sizes of a channel before and after pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Window {
    fn out_width(self) -> usize {
        self.width / self.kernel
    }

    /// Returns the number of positions after pooling.
    pub(crate) fn positions(self) -> usize {
        self.height / self.kernel * self.out_width()
    }

    /// Returns the input positions of an output position's window, in row-major order.
    fn inputs(self, position: usize) -> impl Iterator<Item = usize> {
        let Self { kernel, width, .. } = self;
        let (y, x) = (
            position / self.out_width() * kernel,
            position % self.out_width() * kernel,
        );
        (0..kernel * kernel).map(move |i| (y + i / kernel) * width + x + i % kernel)
    }
}

// limit max_pool: avx2 4.7, scalar 8.5 instructions a value
kernel! {
    /// Computes the maximum of each window of a channel. NaN is propagated, so that the loss shows
    /// it.
    ///
    /// # Shapes
    /// - `x`: `[height * width, lanes]`; `y`: `[positions, lanes]`
    pub(crate) fn forward<S>(simd, x: &[f32], y: &mut [f32], window: Window, lanes: usize) {
        for (position, y) in y.chunks_exact_mut(lanes).enumerate() {
            let mut inputs = window.inputs(position);
            let first = inputs.next().unwrap_or_default();
            y.copy_from_slice(&x[first * lanes..][..lanes]);
            for input in inputs {
                let x = &x[input * lanes..][..lanes];
                each_vector(simd, [&mut *y], [x], #[inline(always)] |[y], [x]| {
                    let larger = y.less_than(x).select(x, y);
                    [x.equals(x).select(larger, x)]
                });
            }
        }
    }
}

kernel! {
    /// Passes the gradient of each window of a channel to the first of its maxima; `left` is
    /// scratch.
    ///
    /// # Shapes
    /// - `g_x`, `x`: `[height * width, lanes]`, the former overwritten; `g`, `y`: `[positions, lanes]`;
    ///   `left`: `[lanes]`
    pub(crate) fn backward<S>(
        simd,
        g_x: &mut [f32],
        g: &[f32],
        pooled: PoolOutput<'_>,
        window: Window,
        left: &mut [f32],
    ) {
        let lanes = left.len();
        let Window { kernel, height, width } = window;
        if !height.is_multiple_of(kernel) || !width.is_multiple_of(kernel) {
            g_x.fill(0.0);
        }
        let rows = g.chunks_exact(lanes).zip(pooled.y.chunks_exact(lanes));
        for (position, (g, y)) in rows.enumerate() {
            // What no value of the window has taken yet.
            left.copy_from_slice(g);
            for input in window.inputs(position) {
                let g_x = &mut g_x[input * lanes..][..lanes];
                let x = &pooled.x[input * lanes..][..lanes];
                each_vector(simd, [g_x, &mut *left], [x, y], #[inline(always)] |[_, left], [x, y]| {
                    let largest = x.equals(y);
                    [largest.keep(left), largest.not().keep(left)]
                });
            }
        }
    }
}

/// Inputs and outputs of a pool.
#[derive(Clone, Copy)]
pub(crate) struct PoolOutput<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) y: &'a [f32],
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same bits, moved")]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    #[test]
    fn the_gradient_goes_to_the_first_maximum_alone() {
        for (kernel, height, width) in [(2, 4, 6), (2, 5, 5), (3, 7, 3), (1, 2, 2)] {
            let (window, lanes) = (
                Window {
                    kernel,
                    height,
                    width,
                },
                24,
            );
            let mut x = test_values(1, height * width * lanes);
            // ties: every fourth value is the same
            x.iter_mut().step_by(4).for_each(|x| *x = 0.25);
            let len = window.positions() * lanes;
            let g = test_values(2, len);
            let (y, g_x) = same_bits(|| {
                let (mut y, mut g_x) = (vec![0.0; len], test_values(3, x.len()));
                forward(&x, &mut y, window, lanes);
                let pooled = PoolOutput { x: &x, y: &y };
                backward(&mut g_x, &g, pooled, window, &mut vec![0.0; lanes]);
                (y, g_x)
            });
            let mut expected = vec![0.0; x.len()];
            for position in 0..window.positions() {
                for lane in 0..lanes {
                    let (py, px) = (
                        position / (width / kernel) * kernel,
                        position % (width / kernel) * kernel,
                    );
                    let places = (0..kernel * kernel)
                        .map(|i| ((py + i / kernel) * width + px + i % kernel) * lanes + lane);
                    let most = places
                        .clone()
                        .map(|place| x[place])
                        .fold(f32::NEG_INFINITY, f32::max);
                    let first = places.clone().find(|&place| x[place] == most).unwrap();
                    assert_eq!(y[position * lanes + lane], most);
                    expected[first] = g[position * lanes + lane];
                }
            }
            assert_eq!(g_x, expected);
        }
    }
}
