//! Sparse convolution: each kept tap over all positions that it reaches, with bias, max-pooling and
//! ReLU in the same registers.
//!
//! The input lies as [`Layout`] has it, so that a tap reads neighbouring positions from neighbouring
//! places, whatever stride, padding and pooling are. With `lanes` samples side by side a place is a row
//! of samples; with one sample, SIMD goes across the positions.

use pulp::{Arch, Simd, WithSimd};

use super::super::layout::Layout;
use super::LANES;
use crate::chain::Extent;
use crate::matrix::SparseMatrix;

/// Side of the pooling windows that are computed in registers.
pub(crate) const FUSED_WINDOW: usize = 2;
const WINDOW: usize = FUSED_WINDOW * FUSED_WINDOW;

/// A sparse convolution.
#[derive(Debug)]
pub(in super::super) struct Conv {
    row_ptr: Vec<u32>,
    /// For each tap where the first output's inputs lie, one for each position of a pooling window
    /// (only the first counts where there is no pooling), and its value.
    taps: Vec<([u32; WINDOW], f32)>,
    bias: Vec<f32>,
    pub(in super::super) relu: bool,
    pub(in super::super) pooled: bool,
    pub(in super::super) output: Extent,
    /// From one row of outputs to the next, in the input.
    row_step: usize,
    to: Layout,
    unit_out: usize,
}

/// What a [`Conv`] is made from, its weight aside.
pub(in super::super) struct Geometry {
    pub(in super::super) kernel: usize,
    pub(in super::super) stride: usize,
    pub(in super::super) pool: usize,
    pub(in super::super) relu: bool,
    pub(in super::super) output: Extent,
    pub(in super::super) from: Layout,
    pub(in super::super) to: Layout,
}

impl Conv {
    /// Columns of `weight` are taps: those of the first input channel, of the second, and so on.
    pub(in super::super) fn new(weight: &SparseMatrix, bias: &[f32], geometry: &Geometry) -> Self {
        let Geometry {
            kernel,
            stride,
            pool,
            relu,
            output,
            from,
            to,
        } = *geometry;
        let unit_in = from.unit_len().expect("a buffer has been made for it");
        let tap = |col: u32| {
            let (unit, tap) = (
                col as usize / (kernel * kernel),
                col as usize % (kernel * kernel),
            );
            let (dy, dx) = (tap / kernel, tap % kernel);
            std::array::from_fn(|window| {
                let (a, b) = if pool > 1 {
                    (window / FUSED_WINDOW, window % FUSED_WINDOW)
                } else {
                    (0, 0)
                };
                let place = unit * unit_in + from.padded_place(stride * a + dy, stride * b + dx);
                u32::try_from(place).expect("a buffer has fewer places")
            })
        };
        let taps = weight.col_idx().iter().map(|&col| tap(col));
        Self {
            row_ptr: weight.row_ptr().to_vec(),
            taps: taps.zip(weight.values().iter().copied()).collect(),
            bias: bias.to_vec(),
            relu,
            pooled: pool > 1,
            output,
            row_step: from.row_step(),
            to,
            unit_out: to.unit_len().expect("a buffer has been made for it"),
        }
    }

    /// Outputs of a channel in one sample's scratch row, those between two rows included.
    fn span(&self) -> usize {
        (self.output.height - 1) * self.row_step + self.output.width
    }

    /// Length of the scratch that [`Conv::run_one`] wants.
    pub(in super::super) fn scratch_len(&self) -> usize {
        self.span().next_multiple_of(LANES)
    }

    /// How far behind its end a channel's input may be read by [`Conv::run_one`].
    pub(in super::super) const SLACK: usize = LANES;

    /// One sample.
    pub(in super::super) fn run_one(
        &self,
        arch: Arch,
        x: &[f32],
        y: &mut [f32],
        scratch: &mut [f32],
    ) {
        arch.dispatch(One {
            conv: self,
            x,
            y,
            scratch,
        });
    }

    /// `lanes` samples, a multiple of [`LANES`].
    pub(in super::super) fn run_lanes(&self, arch: Arch, x: &[f32], y: &mut [f32], lanes: usize) {
        arch.dispatch(Many {
            conv: self,
            x,
            y,
            lanes,
        });
    }
}

/// The largest of a window's sums, and the ReLU of it.
#[inline(always)]
fn finish<S: Simd, const W: usize, const V: usize>(
    simd: S,
    sums: &[[S::f32s; V]; W],
    relu: bool,
) -> [S::f32s; V] {
    let mut largest = sums[0];
    for sums in &sums[1..] {
        for (largest, &sum) in largest.iter_mut().zip(sums) {
            *largest = simd.max_f32s(*largest, sum);
        }
    }
    if relu {
        let zero = simd.splat_f32s(0.0);
        for value in &mut largest {
            *value = simd.max_f32s(*value, zero);
        }
    }
    largest
}

struct One<'a> {
    conv: &'a Conv,
    x: &'a [f32],
    y: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl One<'_> {
    /// `V` vectors of positions of one channel.
    #[inline(always)]
    fn block<S: Simd, const W: usize, const V: usize>(&mut self, simd: S, row: usize, from: usize) {
        let conv = self.conv;
        let width = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(conv.bias[row]); V]; W];
        let taps = conv.row_ptr[row] as usize..conv.row_ptr[row + 1] as usize;
        for (places, value) in &conv.taps[taps] {
            let value = simd.splat_f32s(*value);
            for (sums, &place) in sums.iter_mut().zip(places) {
                let start = place as usize + from;
                let x = S::as_simd_f32s(&self.x[start..start + width]).0;
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum = simd.mul_add_e_f32s(value, x, *sum);
                }
            }
        }
        let largest = finish::<S, W, V>(simd, &sums, conv.relu);
        S::as_mut_simd_f32s(&mut self.scratch[from..from + width])
            .0
            .copy_from_slice(&largest);
    }

    #[inline(always)]
    fn channel<S: Simd, const W: usize>(&mut self, simd: S, row: usize) {
        // 16 sums, or with 16 registers 8
        let most = if S::F32_LANES == LANES { 16 / W } else { 8 / W };
        let len = self.conv.span();
        let mut from = 0;
        while from < len {
            let vectors = (len - from).div_ceil(S::F32_LANES).min(most);
            match vectors {
                1 => self.block::<S, W, 1>(simd, row, from),
                2 => self.block::<S, W, 2>(simd, row, from),
                3 => self.block::<S, W, 3>(simd, row, from),
                4 => self.block::<S, W, 4>(simd, row, from),
                5..=7 if W == 1 => self.block::<S, W, 5>(simd, row, from),
                _ if W == 1 => self.block::<S, W, 8>(simd, row, from),
                _ => unreachable!("a pooling window has at most 4 vectors of sums"),
            }
            from += match vectors {
                5..=7 => 5,
                8.. => 8,
                vectors => vectors,
            } * S::F32_LANES;
        }
    }

    /// Takes one channel's outputs to where the next step wants them.
    #[inline(always)]
    fn place(&mut self, row: usize) {
        let conv = self.conv;
        let y = &mut self.y[row * conv.unit_out..][..conv.unit_out];
        for out_y in 0..conv.output.height {
            let outputs = &self.scratch[out_y * conv.row_step..][..conv.output.width];
            for (first, step, place) in conv.to.runs(out_y, conv.output.width) {
                let outputs = outputs[first..].iter().step_by(step);
                for (y, &output) in y[place..].iter_mut().zip(outputs) {
                    *y = output;
                }
            }
        }
    }
}

impl WithSimd for One<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for row in 0..self.conv.bias.len() {
            if self.conv.pooled {
                self.channel::<S, WINDOW>(simd, row);
            } else {
                self.channel::<S, 1>(simd, row);
            }
            self.place(row);
        }
    }
}

struct Many<'a> {
    conv: &'a Conv,
    x: &'a [f32],
    y: &'a mut [f32],
    lanes: usize,
}

impl Many<'_> {
    #[inline(always)]
    fn strips<S: Simd, const W: usize, const V: usize>(self, simd: S) {
        let Self { conv, x, y, lanes } = self;
        let strips = lanes / (V * S::F32_LANES);
        let x = S::as_simd_f32s(x).0.as_chunks::<V>().0;
        let y = S::as_mut_simd_f32s(y).0.as_chunks_mut::<V>().0;
        for strip in 0..strips {
            for out_y in 0..conv.output.height {
                for out_x in 0..conv.output.width {
                    let from = out_y * conv.row_step + out_x;
                    let to = conv.to.place(out_y, out_x);
                    // All channels at one position: their inputs are near each other.
                    for (row, ends) in conv.row_ptr.windows(2).enumerate() {
                        let mut sums = [[simd.splat_f32s(conv.bias[row]); V]; W];
                        for (places, value) in &conv.taps[ends[0] as usize..ends[1] as usize] {
                            let value = simd.splat_f32s(*value);
                            for (sums, &place) in sums.iter_mut().zip(places) {
                                let x = &x[(place as usize + from) * strips + strip];
                                for (sum, &x) in sums.iter_mut().zip(x) {
                                    *sum = simd.mul_add_e_f32s(value, x, *sum);
                                }
                            }
                        }
                        y[(row * conv.unit_out + to) * strips + strip] =
                            finish::<S, W, V>(simd, &sums, conv.relu);
                    }
                }
            }
        }
    }
}

impl WithSimd for Many<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let two = (self.lanes / S::F32_LANES).is_multiple_of(2);
        match (self.conv.pooled, two) {
            (true, true) => self.strips::<S, WINDOW, 2>(simd),
            (true, false) => self.strips::<S, WINDOW, 1>(simd),
            (false, true) => self.strips::<S, 1, 2>(simd),
            (false, false) => self.strips::<S, 1, 1>(simd),
        }
    }
}
