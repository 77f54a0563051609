//! One sample: each tap over all positions, SIMD across the positions.
//!
//! What a tap reads for each position of a pooling window is first copied to a plane of its own, position
//! by position: so no vector straddles cache lines or has lanes to spare, and all channels read the same
//! planes. Where all rows of outputs together need too much of them, they are made for some at a time.
#![expect(
    unsafe_code,
    reason = "bounds checks take longer than what they guard, a copy of four values or four products"
)]

use std::collections::BTreeMap;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::super::LANES;
use super::taps::{Tap, Taps};
use super::{FUSED_WINDOW, Geometry};
use crate::matrix::SparseMatrix;

const WINDOW: usize = FUSED_WINDOW * FUSED_WINDOW;
/// Values of planes that are made at a time, unless a row of outputs needs more: 64 KB.
const CACHED_VALUES: usize = 1 << 14;

/// Values that are read at a time at most.
const SLACK: usize = 2 * LANES;

/// A sparse convolution of one sample.
#[derive(Debug)]
pub(in super::super::super) struct ConvOne {
    /// Where each channel's taps end, after the 0 where the first one's start.
    ends: Vec<usize>,
    /// For each tap which planes the positions of a pooling window read (only the first counts where
    /// there is no pooling), and its value.
    taps: Vec<([u32; WINDOW], f32)>,
    /// Where each plane starts in the input, at the first output.
    planes: Vec<u32>,
    /// Places of the input that are read: those before this.
    reach: usize,
    /// Rows of outputs that planes are made for at a time.
    rows: usize,
    /// One a channel; or one a channel, position of a pooling window and output.
    bias: Vec<f32>,
    geometry: Geometry,
}

impl ConvOne {
    /// As [`Conv::new`](super::Conv::new).
    pub(super) fn new(weight: &SparseMatrix, bias: &[f32], geometry: Geometry) -> Self {
        let Geometry {
            kernel,
            stride,
            pool,
            output,
            from,
            ..
        } = geometry;
        let number = |place: usize| u32::try_from(place).expect("a buffer has fewer places");
        let unit_in = from.unit_len().expect("a buffer has been made for it");
        let window = |window: usize| match pool {
            1 => [0, 0],
            _ => [window / FUSED_WINDOW, window % FUSED_WINDOW],
        };
        let places = |tap: &Tap| -> [u32; WINDOW] {
            std::array::from_fn(|place| {
                let [a, b] = window(place);
                let (y, x) = (stride * a + tap.dy, stride * b + tap.dx);
                number(tap.unit * unit_in + y * from.row_step() + x)
            })
        };
        let (mut ends, mut taps) = (vec![0], Vec::with_capacity(weight.nnz()));
        for channel in 0..weight.rows() {
            let own = Taps::new(weight, channel, kernel);
            taps.extend(own.iter().map(|tap| (places(tap), tap.value)));
            ends.push(taps.len());
        }
        let read = taps.iter().flat_map(|(places, _)| *places);
        let mut planes: BTreeMap<u32, u32> = read.map(|place| (place, 0)).collect();
        for (plane, index) in planes.values_mut().zip(0..) {
            *plane = index;
        }
        let rows = CACHED_VALUES / (planes.len() * output.width).max(1);
        let rows = rows.clamp(1, output.height);
        let plane_len = number((rows * output.width).next_multiple_of(LANES));
        for (places, _) in &mut taps {
            *places = places.map(|place| planes[&place] * plane_len);
        }
        let bias = if bias.len() > output.units {
            let [height, width] = geometry.outputs();
            let rows = (0..output.units * pool * pool).flat_map(|row| {
                let (channel, [a, b]) = (row / (pool * pool), window(row % (pool * pool)));
                (0..output.height).map(move |y| (channel * height + y * pool + a) * width + b)
            });
            let biases =
                rows.flat_map(|first| (0..output.width).map(move |x| bias[first + x * pool]));
            // The last vector ends behind them.
            biases.chain([0.0; LANES]).collect()
        } else {
            bias.to_vec()
        };
        let farthest = planes.last_key_value();
        let last = (output.height - 1) * from.row_step() + output.width - 1;
        Self {
            ends,
            taps,
            reach: farthest.map_or(0, |(&place, _)| place as usize + last * stride * pool + 1),
            planes: planes.into_keys().collect(),
            rows,
            bias,
            geometry,
        }
    }

    /// From what a position reads to what its neighbour does.
    fn step(&self) -> usize {
        self.geometry.stride * self.geometry.pool
    }

    /// Length of a plane.
    fn plane_len(&self) -> usize {
        (self.rows * self.geometry.output.width).next_multiple_of(LANES)
    }

    /// Length of the scratch that [`ConvOne::run`] wants: the planes, and one channel's outputs.
    pub(in super::super::super) fn scratch_len(&self) -> usize {
        (self.planes.len() + 1) * self.plane_len() + LANES
    }

    /// Values behind an input that may be read with it, and behind an output that may be written.
    pub(in super::super::super) const SLACK: usize = SLACK;

    /// One sample.
    pub(in super::super::super) fn run(
        &self,
        arch: Arch,
        x: &[f32],
        y: &mut [f32],
        scratch: &mut [f32],
    ) {
        arch.dispatch(Run {
            conv: self,
            x,
            y,
            scratch,
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

struct Run<'a> {
    conv: &'a ConvOne,
    x: &'a [f32],
    y: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Run<'_> {
    /// The planes for some rows of outputs.
    #[inline(always)]
    fn make_planes(&mut self, rows: Range<usize>) {
        match (self.conv.step(), self.conv.geometry.output.width) {
            (1, ..=4) => self.copy_rows::<1, 4, 4>(rows),
            (1, _) => self.copy_rows::<1, LANES, LANES>(rows),
            (2, ..=4) => self.copy_rows::<2, 4, 8>(rows),
            (2, _) => self.copy_rows::<2, LANES, { 2 * LANES }>(rows),
            _ => self.copy_values(rows),
        }
    }

    /// The planes where neighbours are `STEP` apart, `N` values of `READ` at a time.
    #[inline(always)]
    fn copy_rows<const STEP: usize, const N: usize, const READ: usize>(
        &mut self,
        rows: Range<usize>,
    ) {
        let conv = self.conv;
        let width = conv.geometry.output.width;
        let row_step = conv.geometry.from.row_step() * STEP;
        assert!(conv.reach + SLACK <= self.x.len() && conv.scratch_len() <= self.scratch.len());
        // In rising order: what a copy writes behind its end is written over by the next.
        let mut plane = 0;
        for &start in &conv.planes {
            let mut from = start as usize + rows.start * row_step;
            let mut to = plane;
            for _ in rows.clone() {
                for at in (0..width).step_by(N) {
                    debug_assert!(
                        from + at * STEP < conv.reach && to + at + N <= self.scratch.len()
                    );
                    // SAFETY: `reach` is behind the farthest value of the farthest row of all planes,
                    // and the first value read lies before that; `scratch_len` counts whole planes, and
                    // `LANES` more than a last row's last value needs. Both were checked above. An array
                    // is aligned as its elements are.
                    unsafe {
                        let x = self
                            .x
                            .as_ptr()
                            .add(from + at * STEP)
                            .cast::<[f32; READ]>()
                            .read();
                        let values: [f32; N] = std::array::from_fn(|place| x[place * STEP]);
                        self.scratch
                            .as_mut_ptr()
                            .add(to + at)
                            .cast::<[f32; N]>()
                            .write(values);
                    }
                }
                from += row_step;
                to += width;
            }
            plane += conv.plane_len();
        }
    }

    /// The planes, value by value.
    fn copy_values(&mut self, rows: Range<usize>) {
        let conv = self.conv;
        let width = conv.geometry.output.width;
        let row_step = conv.geometry.from.row_step() * conv.step();
        for (&start, plane) in conv
            .planes
            .iter()
            .zip(self.scratch.chunks_mut(conv.plane_len()))
        {
            for (row, plane) in rows.clone().zip(plane.chunks_mut(width)) {
                let x = self.x[start as usize + row * row_step..]
                    .iter()
                    .step_by(conv.step());
                for (plane, &x) in plane.iter_mut().zip(x) {
                    *plane = x;
                }
            }
        }
    }

    /// `V` vectors of positions of one channel, from `from` on.
    #[inline(always)]
    fn block<S: Simd, const W: usize, const V: usize>(
        &mut self,
        simd: S,
        [channel, first_row, from]: [usize; 3],
    ) {
        let conv = self.conv;
        let Geometry { output, to, .. } = conv.geometry;
        let width = V * S::F32_LANES;
        let (planes, scratch) = self
            .scratch
            .split_at_mut(conv.planes.len() * conv.plane_len());
        let outputs = if to.is_padded() {
            &mut scratch[from..]
        } else {
            &mut self.y[channel * output.area() + first_row * output.width + from..]
        };
        let mut sums = [[simd.splat_f32s(0.0); V]; W];
        if conv.bias.len() > conv.ends.len() {
            let area = output.area();
            let first = first_row * output.width + from;
            for (place, sums) in sums.iter_mut().enumerate() {
                let bias = &conv.bias[(channel * W + place) * area + first..][..width];
                sums.copy_from_slice(S::as_simd_f32s(bias).0);
            }
        } else {
            sums = [[simd.splat_f32s(conv.bias[channel]); V]; W];
        }
        let planes = S::as_simd_f32s(planes).0;
        for (reads, value) in &conv.taps[conv.ends[channel]..conv.ends[channel + 1]] {
            let value = simd.splat_f32s(*value);
            for (sums, &plane) in sums.iter_mut().zip(reads) {
                let start = (plane as usize + from) / S::F32_LANES;
                debug_assert!(start + V <= planes.len());
                for (place, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: a tap reads its plane, all planes lie in the scratch, whose length was
                    // checked when they were made, and blocks end where planes do.
                    let x = unsafe { *planes.get_unchecked(start + place) };
                    *sum = simd.mul_add_e_f32s(value, x, *sum);
                }
            }
        }
        let largest = finish::<S, W, V>(simd, &sums, conv.geometry.relu);
        S::as_mut_simd_f32s(&mut outputs[..width])
            .0
            .copy_from_slice(&largest);
    }

    /// All positions of one channel that there are planes for.
    #[inline(always)]
    fn channel<S: Simd, const W: usize>(
        &mut self,
        simd: S,
        channel: usize,
        first_row: usize,
        len: usize,
    ) {
        // 16 sums, or with 16 registers 8
        let most = if S::F32_LANES == LANES { 16 / W } else { 8 / W };
        let mut from = 0;
        while from < len {
            let vectors = (len - from).div_ceil(S::F32_LANES).min(most);
            let at = [channel, first_row, from];
            match vectors {
                1 => self.block::<S, W, 1>(simd, at),
                2 => self.block::<S, W, 2>(simd, at),
                3 => self.block::<S, W, 3>(simd, at),
                4 => self.block::<S, W, 4>(simd, at),
                5..=7 if W == 1 => self.block::<S, W, 5>(simd, at),
                _ if W == 1 => self.block::<S, W, 8>(simd, at),
                _ => unreachable!("a pooling window has at most 4 vectors of sums"),
            }
            from += match vectors {
                5..=7 => 5,
                8.. => 8,
                vectors => vectors,
            } * S::F32_LANES;
        }
    }

    /// Takes one channel's outputs to where the next step wants them, with padding around.
    #[inline(always)]
    fn place(&mut self, channel: usize, rows: Range<usize>) {
        let conv = self.conv;
        let Geometry { output, to, .. } = conv.geometry;
        let outputs = &self.scratch[conv.planes.len() * conv.plane_len()..];
        for (outputs, row) in outputs.chunks_exact(output.width).zip(rows) {
            let place = channel * to.unit_len().unwrap_or(0) + to.place(row, 0);
            self.y[place..place + output.width].copy_from_slice(outputs);
        }
    }
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Geometry {
            output, pool, to, ..
        } = self.conv.geometry;
        for first in (0..output.height).step_by(self.conv.rows) {
            let rows = first..output.height.min(first + self.conv.rows);
            self.make_planes(rows.clone());
            let len = rows.len() * output.width;
            for channel in 0..output.units {
                if pool > 1 {
                    self.channel::<S, WINDOW>(simd, channel, first, len);
                } else {
                    self.channel::<S, 1>(simd, channel, first, len);
                }
                if to.is_padded() {
                    self.place(channel, rows.clone());
                }
            }
        }
    }
}
