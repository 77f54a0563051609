//! The kernels for this crate's own benchmarks: no part of the interface.

use crate::kernels::gemm::{Matrix, matmul};
use crate::kernels::pool::{self, Window};
use crate::kernels::sparse::{SparseProduct, SparseRow, sparse_products};
use crate::kernels::tile::{Dots, Product, Taps};
use crate::kernels::update::{Adam, DataGradient, Masking, update_variational};
use crate::kernels::{LANES, reparameterise};
use crate::noise::NoiseKey;
use crate::prior::Prior;

/// Samples in the widest vector.
pub const VECTOR: usize = LANES;

/// `out = a b`, `[m, n] = [m, k] [k, n]`; each operand with whether it is stored turned.
pub fn product(
    out: &mut [f32],
    (m, n, k): (usize, usize, usize),
    left: (&[f32], bool),
    right: (&[f32], bool),
) {
    let matrix = |(data, turned), rows, cols| {
        if turned {
            Matrix::row_major(data, cols, rows).t()
        } else {
            Matrix::row_major(data, rows, cols)
        }
    };
    matmul(out, matrix(left, m, k), matrix(right, k, n), false);
}

/// A convolution without padding, stride 1, of square images `[channels, side, side, lanes]`.
pub struct Conv {
    channels: usize,
    side: usize,
    rows: usize,
    kernel: usize,
    lanes: usize,
    /// For each output position: kernel position and input position.
    inside: Vec<Vec<(u32, u32)>>,
    /// `[positions, taps]`.
    input_rows: Vec<u32>,
}

impl Conv {
    pub fn new(
        (channels, side): (usize, usize),
        (rows, kernel): (usize, usize),
        lanes: usize,
    ) -> Self {
        let out = side - kernel + 1;
        let narrow = |place: usize| u32::try_from(place).expect("small");
        let list = |position: usize| {
            let places = (0..kernel * kernel).map(|k| {
                let (y, x) = (position / out + k / kernel, position % out + k % kernel);
                (narrow(k), narrow(y * side + x))
            });
            places.collect::<Vec<_>>()
        };
        let inside: Vec<_> = (0..out * out).map(list).collect();
        let rows_of = |&(_, place): &(u32, u32)| {
            (0..channels).map(move |channel| narrow(channel * side * side) + place)
        };
        let input_rows = inside.iter().flatten().flat_map(rows_of).collect();
        Self {
            channels,
            side,
            rows,
            kernel,
            lanes,
            inside,
            input_rows,
        }
    }

    pub fn positions(&self) -> usize {
        self.inside.len()
    }

    pub fn taps(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// Values of the input, the weight and the output.
    pub fn sizes(&self) -> [usize; 3] {
        [
            self.channels * self.side * self.side * self.lanes,
            self.taps() * self.rows,
            self.rows * self.positions() * self.lanes,
        ]
    }

    /// Additions and multiplications of one product.
    pub fn flops(&self) -> usize {
        2 * self.taps() * self.rows * self.positions() * self.lanes
    }

    /// Means and variances; `weights`: `[taps, rows]`.
    pub fn forward(
        &self,
        weights: [&[f32]; 2],
        inputs: [&[f32]; 2],
        [mean, variance]: [&mut [f32]; 2],
    ) {
        for (position, starts) in self.inside.iter().enumerate() {
            let taps = Taps {
                starts,
                start_step: self.channels * self.rows,
                len: self.channels,
                input_step: self.side * self.side * self.lanes,
                weight_step: self.rows,
                row_step: 1,
            };
            let from = position * self.lanes;
            Product {
                weights,
                inputs,
                taps: &taps,
                rows: self.rows,
                lanes: self.lanes,
                out: [&mut mean[from..], &mut variance[from..]],
                out_step: self.positions() * self.lanes,
                accumulate: false,
            }
            .run();
        }
    }

    /// The gradient of one weight.
    pub fn weight_gradient(&self, input: &[f32], g: &[f32], out: &mut [f32]) {
        Dots {
            input,
            input_rows: &self.input_rows,
            taps: self.taps(),
            g,
            rows: self.rows,
            positions: self.positions(),
            lanes: self.lanes,
            out,
        }
        .run();
    }
}

/// A row of a sparse matrix: places, and the coefficients for each of the dense operands.
#[derive(Default)]
pub struct Sparse {
    pub indices: Vec<u32>,
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

/// Both products of sparse rows; `dense`: `[.., width]`, `out`: `[rows, width]`.
pub fn sparse(rows: &[Sparse], dense: [&[f32]; 2], out: [&mut [f32]; 2]) {
    let width = out[0].len() / rows.len();
    let [first, second] = out;
    let out = first
        .chunks_exact_mut(width)
        .zip(second.chunks_exact_mut(width));
    sparse_products(
        rows.iter()
            .zip(out)
            .map(|(row, (first, second))| SparseProduct {
                row: SparseRow {
                    indices: &row.indices,
                    table: &[],
                    first: &row.first,
                    second: &row.second,
                },
                dense,
                out: [first, second],
            }),
    );
}

/// Weights with all that an update reads and writes.
pub struct Weights {
    pub theta: [Vec<f32>; 3],
    pub log_sigma2: [Vec<f32>; 3],
    pub masked: [Vec<f32>; 2],
    pub gradients: [Vec<f32>; 2],
}

impl Weights {
    /// Arrays that an update reads, and that it writes.
    pub const READ: usize = 10;
    pub const WRITTEN: usize = 8;

    /// KL and Adam in one pass.
    pub fn update(&mut self, kl_factor: f32, step: u32) {
        let [mean, variance] = &mut self.masked;
        let gradient = DataGradient {
            theta: &self.gradients[0],
            sigma2: &self.gradients[1],
        };
        let masking = Masking {
            log_alpha_threshold: 3.0,
            active: true,
        };
        update_variational(
            (
                self.theta.each_mut().map(|values| &mut values[..]),
                self.log_sigma2.each_mut().map(|values| &mut values[..]),
            ),
            (mean, variance),
            &gradient,
            (Prior::Hierarchical, kl_factor),
            (Adam::at(1e-3, step), masking),
        );
    }
}

/// Local reparameterisation with its noise; see [`reparameterise::sample_rows`].
pub fn sample(
    mean: &mut [f32],
    variance: &mut [f32],
    bias: &[f32],
    key: NoiseKey,
    noise: &mut [f32],
) {
    reparameterise::sample_rows((mean, variance), bias, true, (key, 0), noise);
}

/// Max-pooling of one channel, forward and backward.
pub fn max_pool(
    (kernel, side, lanes): (usize, usize, usize),
    (x, y, argmax): (&[f32], &mut [f32], &mut [u16]),
    g_x: &mut [f32],
) {
    let window = Window {
        kernel,
        height: side,
        width: side,
    };
    pool::forward(x, y, argmax, window, lanes);
    pool::backward(g_x, y, argmax, window, lanes);
}
