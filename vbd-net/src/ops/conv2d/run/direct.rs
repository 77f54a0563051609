//! Convolution of one sample whose inputs are read by few taps, such as a depthwise one, with rows that
//! planes cannot share.
//!
//! Planes would take as long as the products here, or as what their aligned loads save. Instead, each
//! tap is added over whole rows of the input's layout, margins included: the values in the margins'
//! places are computed for nothing, and the others copied to the output.

use pulp::{Arch, Simd, WithSimd};

use super::ConvGeometry;
use super::one::finish;
use super::planes::SHARED_WIDTH;
use super::taps::{ChannelTaps, Taps};
use crate::runtime::kernels::LANES;

/// Maximum number of inputs read at a time, unless a row has more: 32 KB.
const CACHED_VALUES: usize = if cfg!(test) { 1 << 6 } else { 1 << 13 };

/// Products per input that make up for copying it to a plane. With 6 to 10, as in a ResNet-8 with 5
/// times fewer weights, planes took 1.14 times as long (AVX-512 and AVX2 on Zen 4).
const PRODUCTS_PER_PLANE: usize = 16;

/// A sparse convolution of one sample, for a stride of 1 without pooling.
#[derive(Debug)]
pub(crate) struct ConvDirect {
    /// End of each channel's taps, preceded by 0.
    ends: Vec<usize>,
    /// Input position at the first output, and value of each tap.
    taps: Vec<(usize, f32)>,
    bias: Vec<f32>,
    /// Number of output rows computed at a time.
    rows: usize,
    geometry: ConvGeometry,
}

impl ConvDirect {
    /// Returns whether the convolution is faster than with planes.
    pub(super) fn suits(taps: &Taps, bias: &[f32], geometry: &ConvGeometry) -> bool {
        let ConvGeometry {
            pool,
            stride,
            output,
            from,
            ..
        } = *geometry;
        let rows_fit = from.row_step() <= 2 * output.width;
        let has_lines = output.width.is_multiple_of(SHARED_WIDTH);
        if has_lines || pool > 1 || stride != [1; 2] || !rows_fit || geometry.has_bias_each(bias) {
            return false;
        }
        let all = taps.channels().flat_map(ChannelTaps::iter);
        let mut starts: Vec<usize> = all.map(|tap| geometry.read_by(tap, [0, 0])).collect();
        let products = starts.len();
        starts.sort_unstable();
        starts.dedup();
        products < PRODUCTS_PER_PLANE * starts.len()
    }

    /// See [`Conv::new`](super::Conv::new).
    pub(super) fn new(taps: &Taps, bias: &[f32], geometry: ConvGeometry) -> Self {
        let (mut all, mut ends) = (Vec::new(), vec![0]);
        for own in taps.channels() {
            let taps = own.iter();
            all.extend(taps.map(|tap| (geometry.read_by(tap, [0, 0]), tap.value)));
            ends.push(all.len());
        }
        let rows = CACHED_VALUES / (geometry.from.row_step() * geometry.input.units);
        Self {
            ends,
            taps: all,
            bias: bias.to_vec(),
            rows: rows.clamp(1, geometry.output.height),
            geometry,
        }
    }

    /// Returns the length of the scratch buffer for [`ConvDirect::run`].
    pub(crate) fn scratch_len(&self) -> usize {
        self.rows * self.geometry.from.row_step() + LANES
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

struct Run<'a> {
    conv: &'a ConvDirect,
    x: &'a [f32],
    y: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Run<'_> {
    /// Sums `V` vectors of one channel: `from` positions behind those of the first output.
    #[inline(always)]
    fn block<S: Simd, const V: usize>(&mut self, simd: S, channel: usize, from: usize, to: usize) {
        let (conv, len) = (self.conv, V * S::F32_LANES);
        let mut sums = [simd.splat_f32s(conv.bias[channel]); V];
        for &(place, value) in &conv.taps[conv.ends[channel]..conv.ends[channel + 1]] {
            let value = simd.splat_f32s(value);
            let x = S::as_simd_f32s(&self.x[place + from..][..len]).0;
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum = simd.mul_add_e_f32s(value, x, *sum);
            }
        }
        let sums = finish::<S, 1, V>(simd, &[sums], conv.geometry.relu);
        let scratch = S::as_mut_simd_f32s(&mut self.scratch[to..to + len]).0;
        scratch.copy_from_slice(&sums);
    }

    /// Computes `len` positions of one channel, `first` positions behind that of the first output.
    #[inline(always)]
    fn channel<S: Simd>(&mut self, simd: S, channel: usize, first: usize, len: usize) {
        let mut to = 0;
        while to < len {
            let left = (len - to).div_ceil(S::F32_LANES);
            let from = first + to;
            // 16 sums, or 8 with 16 registers
            let most = if S::F32_LANES == LANES { 16 } else { 8 };
            let vectors = match left {
                16.. if most == 16 => 16,
                8.. => 8,
                left => left,
            };
            match vectors {
                1 => self.block::<S, 1>(simd, channel, from, to),
                2 => self.block::<S, 2>(simd, channel, from, to),
                3 => self.block::<S, 3>(simd, channel, from, to),
                4 => self.block::<S, 4>(simd, channel, from, to),
                5 => self.block::<S, 5>(simd, channel, from, to),
                6 => self.block::<S, 6>(simd, channel, from, to),
                7 => self.block::<S, 7>(simd, channel, from, to),
                8 => self.block::<S, 8>(simd, channel, from, to),
                _ => self.block::<S, 16>(simd, channel, from, to),
            }
            to += vectors * S::F32_LANES;
        }
    }
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let conv = self.conv;
        let ConvGeometry {
            output, from, to, ..
        } = conv.geometry;
        let step = from.row_step();
        for first in (0..output.height).step_by(conv.rows) {
            for channel in 0..output.units {
                let rows = conv.rows.min(output.height - first);
                let len = (rows - 1) * step + output.width;
                self.channel(simd, channel, first * step, len);
                for row in 0..rows {
                    let sums = &self.scratch[row * step..][..output.width];
                    let place = to.row(channel, first + row);
                    self.y[place..place + output.width].copy_from_slice(sums);
                }
            }
        }
    }
}
