//! Max-pooling with the place of the maximum kept: windows side by side, the first maximum wins.

use super::simd;

/// Sizes of one channel before and after pooling.
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

    /// Positions after pooling.
    pub(crate) fn positions(self) -> usize {
        self.height / self.kernel * self.out_width()
    }

    /// The input positions of an output position's window, in row-major order.
    fn inputs(self, position: usize) -> impl Iterator<Item = usize> {
        let Self { kernel, width, .. } = self;
        let (y, x) = (
            position / self.out_width() * kernel,
            position % self.out_width() * kernel,
        );
        (0..kernel * kernel).map(move |i| (y + i / kernel) * width + x + i % kernel)
    }
}

/// One channel: the largest value of each window, and which of the window's values it is.
///
/// # Shapes
/// - `x`: `[height * width, lanes]`; `y`, `argmax`: `[positions, lanes]`
pub(crate) fn forward(x: &[f32], y: &mut [f32], argmax: &mut [u16], window: Window, lanes: usize) {
    simd(
        #[inline(always)]
        || {
            let rows = y
                .chunks_exact_mut(lanes)
                .zip(argmax.chunks_exact_mut(lanes));
            for (position, (y, argmax)) in rows.enumerate() {
                for (number, input) in (0..).zip(window.inputs(position)) {
                    let x = &x[input * lanes..][..lanes];
                    if number == 0 {
                        y.copy_from_slice(x);
                        argmax.fill(0);
                        continue;
                    }
                    for ((y, argmax), &x) in y.iter_mut().zip(&mut *argmax).zip(x) {
                        // NaN goes on: the loss has to tell of it.
                        let larger = x > *y || x.is_nan();
                        *argmax = if larger { number } else { *argmax };
                        *y = if larger { x } else { *y };
                    }
                }
            }
        },
    );
}

/// One channel: the gradient of each window goes to its maximum.
///
/// # Shapes
/// - `g_x`: `[height * width, lanes]`, overwritten; `g`, `argmax`: `[positions, lanes]`
pub(crate) fn backward(g_x: &mut [f32], g: &[f32], argmax: &[u16], window: Window, lanes: usize) {
    let Window {
        kernel,
        height,
        width,
    } = window;
    if !height.is_multiple_of(kernel) || !width.is_multiple_of(kernel) {
        g_x.fill(0.0);
    }
    simd(
        #[inline(always)]
        || {
            let rows = g.chunks_exact(lanes).zip(argmax.chunks_exact(lanes));
            for (position, (g, argmax)) in rows.enumerate() {
                for (number, input) in (0_u16..).zip(window.inputs(position)) {
                    let g_x = &mut g_x[input * lanes..][..lanes];
                    for ((g_x, &g), &argmax) in g_x.iter_mut().zip(g).zip(argmax) {
                        *g_x = if argmax == number { g } else { 0.0 };
                    }
                }
            }
        },
    );
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same bits, moved")]
mod tests {
    use super::*;
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
                16,
            );
            let mut x = test_values(1, height * width * lanes);
            // ties: every fourth value is the same
            x.iter_mut().step_by(4).for_each(|x| *x = 0.25);
            let len = window.positions() * lanes;
            let (mut y, mut argmax, g) = (vec![0.0; len], vec![0; len], test_values(2, len));
            forward(&x, &mut y, &mut argmax, window, lanes);
            let mut g_x = test_values(3, x.len());
            backward(&mut g_x, &g, &argmax, window, lanes);
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
