//! Convolution of one sample: each tap over all positions, with SIMD across positions.
//!
//! The inputs of a tap for each position of a pooling window are first copied to a plane: few vectors
//! straddle cache lines, none has unused lanes, and all channels share the planes. If all rows
//! together need too much memory, planes are made for a few rows at a time.
#![expect(
    unsafe_code,
    reason = "bounds checks take as long as the products: one for all is made before"
)]

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::planes::Planes;
use super::taps::{Tap, Taps};
use super::{ConvGeometry, FUSED_WINDOW, number};
use crate::runtime::kernels::LANES;

const WINDOW: usize = FUSED_WINDOW * FUSED_WINDOW;

/// A sparse convolution of one sample.
#[derive(Debug)]
pub(crate) struct ConvOne {
    /// End of each channel's taps, preceded by 0.
    ends: Vec<usize>,
    /// For each tap, the starts of the planes read by the positions of a pooling window (only the
    /// first without pooling), and its value.
    taps: Vec<([u32; WINDOW], f32)>,
    planes: Planes,
    /// One bias per channel, or one per channel, position in the pooling window and output.
    bias: Vec<f32>,
    geometry: ConvGeometry,
}

impl ConvOne {
    /// See [`Conv::new`](super::Conv::new).
    pub(super) fn new(taps: &Taps, bias: &[f32], geometry: ConvGeometry) -> Self {
        let ConvGeometry { pool, output, .. } = geometry;
        let window = |window: usize| match pool {
            1 => [0, 0],
            _ => [window / FUSED_WINDOW, window % FUSED_WINDOW],
        };
        let places = |tap: &Tap| -> [u32; WINDOW] {
            std::array::from_fn(|place| number(geometry.read_by(tap, window(place))))
        };
        let (channels, mut taps, mut ends) = (taps.channels(), Vec::new(), vec![0]);
        for own in channels {
            taps.extend(own.iter().map(|tap| (places(tap), tap.value)));
            ends.push(taps.len());
        }
        let starts = taps.iter().flat_map(|(places, _)| *places);
        let planes = Planes::new(starts.collect(), &geometry);
        for (places, _) in &mut taps {
            // A plan rejects numbers that overflow.
            *places = places.map(|start| u32::try_from(planes.place(start)).unwrap_or(u32::MAX));
        }
        let bias = if geometry.has_bias_each(bias) {
            let [height, width] = geometry.outputs();
            let rows = (0..output.units * pool * pool).flat_map(|row| {
                let (channel, [a, b]) = (row / (pool * pool), window(row % (pool * pool)));
                (0..output.height).map(move |y| (channel * height + y * pool + a) * width + b)
            });
            let biases =
                rows.flat_map(|first| (0..output.width).map(move |x| bias[first + x * pool]));
            // The last vector extends beyond the planes.
            biases.chain([0.0; LANES]).collect()
        } else {
            bias.to_vec()
        };
        Self {
            ends,
            taps,
            planes,
            bias,
            geometry,
        }
    }

    /// Returns whether outputs are written through the scratch buffer, because of padding between
    /// them or because writing them would overwrite others.
    fn is_placed(&self) -> bool {
        let ConvGeometry { output, to, .. } = self.geometry;
        to.is_padded() || self.planes.rows < output.height
    }

    /// Returns the length of the scratch buffer for [`ConvOne::run`]: the planes and one channel's
    /// outputs.
    pub(crate) fn scratch_len(&self) -> usize {
        let outputs = self.planes.rows * self.geometry.output.width;
        self.planes.len() + outputs.next_multiple_of(LANES) + LANES
    }

    /// Computes one sample.
    pub(crate) fn run(&self, arch: Arch, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        arch.dispatch(Run {
            conv: self,
            x,
            y,
            scratch: &mut scratch[..self.scratch_len()],
        });
    }
}

/// Returns the maximum of a window's sums, optionally with ReLU.
#[inline(always)]
pub(super) fn finish<S: Simd, const W: usize, const V: usize>(
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
    /// Computes `V` vectors of positions of one channel, from `from`.
    #[inline(always)]
    fn block<S: Simd, const W: usize, const V: usize>(
        &mut self,
        simd: S,
        [channel, first_row, from]: [usize; 3],
    ) {
        let conv = self.conv;
        let ConvGeometry { output, relu, .. } = conv.geometry;
        let width = V * S::F32_LANES;
        let (planes, scratch) = self.scratch.split_at_mut(conv.planes.len());
        let outputs = if conv.is_placed() {
            &mut scratch[from..]
        } else {
            &mut self.y[channel * output.area() + first_row * output.width + from..]
        };
        let mut sums = [[simd.splat_f32s(0.0); V]; W];
        if conv.geometry.has_bias_each(&conv.bias) {
            let area = output.area();
            let first = first_row * output.width + from;
            for (place, sums) in sums.iter_mut().enumerate() {
                let bias = &conv.bias[(channel * W + place) * area + first..][..width];
                sums.copy_from_slice(S::as_simd_f32s(bias).0);
            }
        } else {
            sums = [[simd.splat_f32s(conv.bias[channel]); V]; W];
        }
        for (reads, value) in &conv.taps[conv.ends[channel]..conv.ends[channel + 1]] {
            let value = simd.splat_f32s(*value);
            for (sums, &plane) in sums.iter_mut().zip(reads) {
                let start = plane as usize + from;
                debug_assert!(start + width <= planes.len());
                for (place, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `planes` are as long as all planes together, by the splitting above; a tap
                    // reads one of them, and no block ends beyond the last vector of a plane. Any bits are
                    // valid `S::f32s`.
                    let x = unsafe {
                        let x = planes.as_ptr().add(start + place * S::F32_LANES);
                        x.cast::<S::f32s>().read_unaligned()
                    };
                    *sum = simd.mul_add_e_f32s(value, x, *sum);
                }
            }
        }
        let largest = finish::<S, W, V>(simd, &sums, relu);
        S::as_mut_simd_f32s(&mut outputs[..width])
            .0
            .copy_from_slice(&largest);
    }

    /// Computes all positions of one channel that have planes.
    #[inline(always)]
    fn channel<S: Simd, const W: usize>(
        &mut self,
        simd: S,
        channel: usize,
        first_row: usize,
        len: usize,
    ) {
        // 16 sums, or 8 with 16 registers
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

    /// Copies one channel's outputs to the output buffer with its padding.
    #[inline(always)]
    fn place(&mut self, channel: usize, rows: Range<usize>) {
        let conv = self.conv;
        let ConvGeometry { output, to, .. } = conv.geometry;
        let outputs = &self.scratch[conv.planes.len()..];
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
        let Self { conv, x, .. } = self;
        let ConvGeometry { output, pool, .. } = conv.geometry;
        for first in (0..output.height).step_by(conv.planes.rows) {
            let rows = first..output.height.min(first + conv.planes.rows);
            conv.planes.make(x, self.scratch, rows.clone());
            let len = rows.len() * output.width;
            for channel in 0..output.units {
                if pool > 1 {
                    self.channel::<S, WINDOW>(simd, channel, first, len);
                } else {
                    self.channel::<S, 1>(simd, channel, first, len);
                }
                if conv.is_placed() {
                    self.place(channel, rows.clone());
                }
            }
        }
    }
}
