//! Kernels for this crate's own benchmarks; not part of the public interface.

use crate::kernels::buffer::Buffer;
use crate::kernels::dots::{Dots, Run, runs};
use crate::kernels::pool::{self, PoolOutput};
use crate::kernels::product::{Product, Taps};
use crate::kernels::reparameterise::{self, RowNoise};
use crate::kernels::sparse::{SparseProduct, SparseRow, sparse_products};
use crate::kernels::vector::PARTIAL_SUMS;
use crate::method::DataGradient;
use crate::method::kernel::{DropMask, Posteriors, VariationalUpdate, update_variational};
use crate::noise::NoiseKey;
use crate::optim::Optimizer;
use crate::prior::Prior;
use vbd_net::graph::Window;

/// Activations are padded to a multiple of this many samples.
pub const LANES: usize = crate::kernels::LANES;

/// Returns an aligned buffer with these values.
pub fn aligned(values: &[f32]) -> impl std::ops::DerefMut<Target = [f32]> + use<> {
    let mut buffer = Buffer::zeros(values.len());
    buffer.copy_from_slice(values);
    buffer
}

/// Computes `out = weight input`, `[rows, columns] = [rows, len] [len, columns]`. The weight may be stored
/// transposed.
pub fn product(
    out: &mut [f32],
    [rows, columns, len]: [usize; 3],
    weight: &[f32],
    transposed: bool,
    input: &[f32],
) {
    let mut taps = Taps::matrix(len, columns);
    if transposed {
        (taps.weight_step, taps.row_step) = (rows, 1);
    }
    Product {
        weight,
        input,
        taps,
        rows,
        columns,
        out,
        out_step: columns,
        accumulate: false,
    }
    .run();
}

/// A convolution without padding, stride 1, of square images `[channels, side, side, lanes]`.
pub struct Conv {
    channels: usize,
    side: usize,
    rows: usize,
    kernel: usize,
    lanes: usize,
    /// For the first position of each row of the output: kernel position and input position.
    inside: Vec<Vec<(u32, u32)>>,
    /// `[positions, taps]`.
    input_rows: Vec<u32>,
    order: Vec<u32>,
    runs: Vec<Run>,
}

impl Conv {
    pub fn new(channels: usize, side: usize, rows: usize, kernel: usize, lanes: usize) -> Self {
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
        let input_rows: Vec<u32> = inside.iter().flatten().flat_map(rows_of).collect();
        Self {
            channels,
            side,
            rows,
            kernel,
            lanes,
            inside: inside.into_iter().step_by(out).collect(),
            order: (0..channels)
                .flat_map(|channel| {
                    (0..kernel * kernel).map(move |k| narrow(k * channels + channel))
                })
                .collect(),
            runs: runs(&input_rows, channels * kernel * kernel),
            input_rows,
        }
    }

    pub fn positions(&self) -> usize {
        self.input_rows.len() / self.taps()
    }

    pub fn taps(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// Returns the numbers of values of input, weight and output.
    pub fn sizes(&self) -> [usize; 3] {
        [
            self.channels * self.side * self.side * self.lanes,
            self.taps() * self.rows,
            self.rows * self.positions() * self.lanes,
        ]
    }

    /// Returns the additions and multiplications of one product.
    pub fn flops(&self) -> usize {
        2 * self.taps() * self.rows * self.positions() * self.lanes
    }

    /// Computes the outputs of one weight, `[taps, rows]`.
    pub fn forward(&self, weight: &[f32], input: &[f32], out: &mut [f32]) {
        let row = self.positions() / self.inside.len() * self.lanes;
        for (index, starts) in self.inside.iter().enumerate() {
            let taps = Taps {
                starts,
                weight_unit: self.channels * self.rows,
                input_unit: self.lanes,
                len: self.channels,
                weight_step: self.rows,
                input_step: self.side * self.side * self.lanes,
                row_step: 1,
            };
            Product {
                weight,
                input,
                taps,
                rows: self.rows,
                columns: row,
                out: &mut out[index * row..],
                out_step: self.positions() * self.lanes,
                accumulate: false,
            }
            .run();
        }
    }

    /// Computes the gradient of one weight.
    pub fn weight_gradient(
        &self,
        input: &[f32],
        g: &[f32],
        out: &mut [f32],
        sums: &mut Vec<[f32; PARTIAL_SUMS]>,
    ) {
        Dots {
            input,
            input_rows: &self.input_rows,
            taps: self.taps(),
            order: &self.order,
            runs: &self.runs,
            g,
            rows: self.rows,
            positions: self.positions(),
            lanes: self.lanes,
            out,
            sums,
        }
        .run();
    }
}

/// A row of a sparse matrix: indices, and coefficients for each of the dense operands.
#[derive(Default)]
pub struct Sparse {
    pub indices: Vec<u32>,
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

/// Computes both products of sparse rows; `dense`: `[.., width]`, `out`: `[rows, width]`.
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

/// Weights with all arrays that an update reads and writes.
pub struct Weights {
    pub theta: [Vec<f32>; 3],
    pub log_sigma2: [Vec<f32>; 3],
    pub masked: [Vec<f32>; 2],
    pub gradients: [Vec<f32>; 2],
}

impl Weights {
    /// Number of arrays that an update reads, and that it writes.
    pub const READ: usize = 10;
    pub const WRITTEN: usize = 8;

    /// KL and Adam in one pass.
    pub fn update(&mut self, prior: Prior, kl_factor: f32, step: u32) {
        let [mean, variance] = &mut self.masked;
        let data = DataGradient {
            theta: &self.gradients[0],
            sigma2: &self.gradients[1],
        };
        let posteriors = Posteriors {
            theta: self.theta.each_mut().map(|values| &mut values[..]),
            log_sigma2: self.log_sigma2.each_mut().map(|values| &mut values[..]),
            mean,
            variance,
        };
        let rule = VariationalUpdate {
            prior,
            kl_factor,
            descent: Optimizer::Adam.at(1e-3, step),
            most_log_sigma2: crate::posterior::LOG_SIGMA2_MAX,
            masking: DropMask {
                log_alpha_threshold: 3.0,
                active: true,
            },
        };
        update_variational(posteriors, data, rule);
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
    let alive = &vec![true; bias.len()];
    let rows = RowNoise {
        key,
        first_unit: 0,
        alive,
    };
    reparameterise::sample_rows(mean, variance, bias, true, rows, noise);
}

/// Max-pooling of one channel of square images, forward and backward; `left` is scratch, `[lanes]`.
pub fn max_pool(
    kernel: usize,
    side: usize,
    x: &[f32],
    y: &mut [f32],
    g_x: &mut [f32],
    left: &mut [f32],
) {
    let window = Window {
        kernel: [kernel; 2],
        stride: [kernel; 2],
        before: [0; 2],
        after: [0; 2],
        input: [side; 2],
        output: [side / kernel; 2],
    };
    pool::forward(x, y, &window, left.len());
    pool::backward(g_x, y, PoolOutput { x, y }, &window, left);
}
