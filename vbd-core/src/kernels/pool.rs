//! Max-pooling and average pooling. The first maximum wins; backward finds it by value.

use std::ops::Range;

use vbd_net::graph::Window;

use super::vector::{each_vector, kernel};

/// Part of the image in a window.
#[derive(Debug, Clone)]
struct Reach {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Columns of the image.
    width: usize,
}

impl Reach {
    #[inline(always)]
    fn new(window: &Window, position: usize) -> Self {
        Self {
            rows: window.inside(0, position / window.output[1]),
            columns: window.inside(1, position % window.output[1]),
            width: window.input[1],
        }
    }

    /// Returns the first position of the image; every window has one.
    #[inline(always)]
    fn first(&self) -> usize {
        self.rows.start * self.width + self.columns.start
    }

    /// Iterates over the positions of the image, row by row.
    #[inline(always)]
    fn inputs(&self) -> impl Iterator<Item = usize> + use<> {
        let Self {
            rows,
            columns,
            width,
        } = self.clone();
        rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
    }
}

/// Returns whether adjacent windows reach every position of the image.
#[inline(always)]
fn covers(window: &Window) -> bool {
    let reached = |side: usize| {
        window.output[side] * window.kernel[side] >= window.input[side] + window.before[side]
    };
    reached(0) && reached(1)
}

// limit max_pool: avx2 4.7, scalar 8.5 instructions a value
kernel! {
    /// Computes the maximum of each window of a channel. NaN is propagated, so that the loss shows
    /// it.
    ///
    /// # Shapes
    /// - `x`: `[height * width, lanes]`; `y`: `[positions, lanes]`
    pub(crate) fn forward<S>(simd, x: &[f32], y: &mut [f32], window: &Window, lanes: usize) {
        for (position, y) in y.chunks_exact_mut(lanes).enumerate() {
            let reach = Reach::new(window, position);
            let first = reach.first();
            y.copy_from_slice(&x[first * lanes..][..lanes]);
            for input in reach.inputs().skip(1) {
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
        window: &Window,
        left: &mut [f32],
    ) {
        let lanes = left.len();
        let is_adjacent = window.stride == window.kernel;
        // Each value is in one window then, and written once.
        if !(is_adjacent && covers(window)) {
            g_x.fill(0.0);
        }
        let rows = g.chunks_exact(lanes).zip(pooled.y.chunks_exact(lanes));
        for (position, (g, y)) in rows.enumerate() {
            // What no value of the window has taken yet.
            left.copy_from_slice(g);
            for input in Reach::new(window, position).inputs() {
                let g_x = &mut g_x[input * lanes..][..lanes];
                let x = &pooled.x[input * lanes..][..lanes];
                if is_adjacent {
                    each_vector(simd, [g_x, &mut *left], [x, y], #[inline(always)] |[_, left], [x, y]| {
                        let largest = x.equals(y);
                        [largest.keep(left), largest.not().keep(left)]
                    });
                } else {
                    each_vector(simd, [g_x, &mut *left], [x, y], #[inline(always)] |[g_x, left], [x, y]| {
                        let largest = x.equals(y);
                        [g_x + largest.keep(left), largest.not().keep(left)]
                    });
                }
            }
        }
    }
}

kernel! {
    /// Computes the average of each window of a channel; padding counts as zeros.
    ///
    /// # Shapes
    /// - `x`: `[height * width, lanes]`; `y`: `[positions, lanes]`
    pub(crate) fn average<S>(simd, x: &[f32], y: &mut [f32], window: &Window, lanes: usize) {
        let factor = 1.0 / window.area() as f32;
        for (position, y) in y.chunks_exact_mut(lanes).enumerate() {
            y.fill(0.0);
            for input in Reach::new(window, position).inputs() {
                let x = &x[input * lanes..][..lanes];
                each_vector(simd, [&mut *y], [x], #[inline(always)] |[y], [x]| [y + x]);
            }
            each_vector(simd, [y], [], #[inline(always)] |[y], []| [y * y.like(factor)]);
        }
    }
}

kernel! {
    /// Computes the gradient through [`average`].
    ///
    /// # Shapes
    /// - `g_x`: `[height * width, lanes]`, overwritten; `g`: `[positions, lanes]`
    pub(crate) fn average_gradient<S>(
        simd,
        g_x: &mut [f32],
        g: &[f32],
        window: &Window,
        lanes: usize,
    ) {
        let factor = 1.0 / window.area() as f32;
        g_x.fill(0.0);
        for (position, g) in g.chunks_exact(lanes).enumerate() {
            for input in Reach::new(window, position).inputs() {
                let g_x = &mut g_x[input * lanes..][..lanes];
                each_vector(simd, [g_x], [g], #[inline(always)] |[g_x], [g]| {
                    [g.mul_add(g.like(factor), g_x)]
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

    const LANES: usize = 24;

    fn windows() -> impl Iterator<Item = Window> {
        // kernel, stride, padding, image
        let all = [
            ([2, 2], [2, 2], [0, 0], [4, 6]),
            ([2, 2], [2, 2], [0, 0], [5, 5]),
            ([3, 3], [3, 3], [0, 0], [7, 3]),
            ([1, 1], [1, 1], [0, 0], [2, 2]),
            ([3, 3], [2, 2], [1, 1], [6, 7]),
            ([2, 3], [1, 2], [1, 0], [5, 5]),
            ([3, 2], [4, 3], [0, 1], [8, 7]),
            ([2, 2], [2, 2], [1, 1], [4, 4]),
            ([4, 5], [4, 5], [0, 0], [4, 5]),
        ];
        all.into_iter().map(|(kernel, stride, before, input)| {
            let output = [0, 1]
                .map(|side| (input[side] + 2 * before[side] - kernel[side]) / stride[side] + 1);
            Window {
                kernel,
                stride,
                before,
                after: before,
                input,
                output,
            }
        })
    }

    #[test]
    fn the_gradient_goes_to_the_first_maximum_alone() {
        for window in windows() {
            let [height, width] = window.input;
            let mut x = test_values(1, height * width * LANES);
            // ties: every fourth value is the same
            x.iter_mut().step_by(4).for_each(|x| *x = 0.25);
            let len = window.positions() * LANES;
            let g = test_values(2, len);
            let (y, g_x) = same_bits(|| {
                let (mut y, mut g_x) = (vec![0.0; len], test_values(3, x.len()));
                forward(&x, &mut y, &window, LANES);
                let pooled = PoolOutput { x: &x, y: &y };
                backward(&mut g_x, &g, pooled, &window, &mut [0.0; LANES]);
                (y, g_x)
            });
            let mut expected = vec![0.0; x.len()];
            for position in 0..window.positions() {
                for lane in 0..LANES {
                    let places = window.inputs_at(position).map(|place| place * LANES + lane);
                    let values = places.clone().map(|place| x[place]);
                    let most = values.fold(f32::NEG_INFINITY, f32::max);
                    let first = places.clone().find(|&place| x[place] == most).unwrap();
                    assert_eq!(y[position * LANES + lane], most);
                    expected[first] += g[position * LANES + lane];
                }
            }
            assert_eq!(g_x, expected, "{window:?}");
        }
    }

    #[test]
    fn an_average_and_its_gradient_are_those_in_f64() {
        for window in windows() {
            let [height, width] = window.input;
            let (x, len) = (
                test_values(1, height * width * LANES),
                window.positions() * LANES,
            );
            let g = test_values(2, len);
            let (y, g_x) = same_bits(|| {
                let (mut y, mut g_x) = (vec![0.0; len], test_values(3, x.len()));
                average(&x, &mut y, &window, LANES);
                average_gradient(&mut g_x, &g, &window, LANES);
                (y, g_x)
            });
            let mut by_x = vec![0.0; x.len()];
            for (at, y) in y.iter().enumerate() {
                let (position, lane) = (at / LANES, at % LANES);
                let mut mean = 0.0;
                for place in window.inputs_at(position) {
                    mean += f64::from(x[place * LANES + lane]) / window.area() as f64;
                    by_x[place * LANES + lane] += f64::from(g[at]) / window.area() as f64;
                }
                assert!((f64::from(*y) - mean).abs() < 1e-6, "{window:?}");
            }
            for (found, expected) in g_x.iter().zip(by_x) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{window:?}");
            }
        }
    }
}
