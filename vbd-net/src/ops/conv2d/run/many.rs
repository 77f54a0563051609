//! Convolution of many samples: each tap over a block of outputs, with samples in lanes.
//!
//! A block's sums stay in registers. Two vertically adjacent taps read the same inputs except one
//! row, so each input is read once for both. Columns of an image that are 0 in all samples in the
//! block's rows, such as margins, are skipped.
#![expect(
    unsafe_code,
    reason = "a bounds check for each input read takes as long as its product: one for all is made before"
)]

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::taps::{Tap, Taps};
use super::{ConvGeometry, number};
use crate::runtime::kernels::LANES;

/// Maximum number of input columns that are checked for zeros.
const MOST_COLUMNS: usize = u64::BITS as usize;

/// `N` vertically adjacent taps: the buffer position of the first one at the first output, and the
/// values.
type Entry<const N: usize> = (u32, [f32; N]);

/// A sparse convolution of [`LANES`] samples.
#[derive(Debug)]
pub(crate) struct ConvMany {
    pairs: Vec<Entry<2>>,
    singles: Vec<Entry<1>>,
    /// Starts of the pairs and singles of each output channel, for each of the `groups` of kernel
    /// columns that can be skipped, followed by the ends of the last channel.
    starts: Vec<[u32; 2]>,
    /// Number of groups: one per kernel column, or one for all if none can be skipped.
    groups: usize,
    /// First channel of each part, and the number of channels. Parts read different inputs, so
    /// they are computed one after another.
    parts: Vec<usize>,
    /// One bias per channel, or one per channel and output, column by column.
    bias: Vec<f32>,
    /// Upper bound of the input positions that are read.
    reach: usize,
    geometry: ConvGeometry,
}

impl ConvMany {
    /// See [`Conv::new`](super::Conv::new).
    pub(super) fn new(taps: &Taps, bias: &[f32], geometry: ConvGeometry) -> Self {
        let ConvGeometry { kernel, output, .. } = geometry;
        let [height, width] = geometry.outputs();
        let place = |tap: &Tap| number(geometry.read_by(tap, [0, 0]));
        let (mut pairs, mut singles, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let groups = if skips(&geometry) { kernel[1] } else { 1 };
        let (mut reach, mut parts, mut read) = (0, vec![0], 0);
        for (channel, own) in taps.channels().enumerate() {
            let first = own.iter().map(|tap| tap.unit).min();
            if first.is_some_and(|first| first >= read) && channel > 0 && !skips(&geometry) {
                parts.push(channel);
            }
            let units = own.iter().map(|tap| tap.unit + 1);
            read = units.fold(read, usize::max);
            let before = |dx: usize| {
                [
                    number(pairs.len() + own.pairs.partition_point(|pair| pair[0].dx < dx)),
                    number(singles.len() + own.singles.partition_point(|tap| tap.dx < dx)),
                ]
            };
            starts.extend((0..groups).map(before));
            let of_pair = |pair: &[Tap; 2]| (place(&pair[0]), pair.map(|tap| tap.value));
            pairs.extend(own.pairs.iter().map(of_pair));
            singles.extend(own.singles.iter().map(|tap| (place(tap), [tap.value])));
            let farthest = own
                .iter()
                .map(|tap| geometry.read_by(tap, [height - 1, width - 1]));
            reach = farthest.fold(reach, |reach, place| reach.max(place + 1));
        }
        starts.push([number(pairs.len()), number(singles.len())]);
        parts.push(output.units);
        let bias = if geometry.has_bias_each(bias) {
            let column_by_column = (0..output.units * width).flat_map(|column| {
                let (channel, x) = (column / width, column % width);
                (0..height).map(move |y| bias[(channel * height + y) * width + x])
            });
            column_by_column.collect()
        } else {
            bias.to_vec()
        };
        Self {
            pairs,
            singles,
            starts,
            groups,
            parts,
            bias,
            reach,
            geometry,
        }
    }

    /// Computes [`LANES`] samples.
    ///
    /// # Shapes
    /// - `x`, `y`: `[places, LANES]`, with the positions of the layouts
    pub(crate) fn run(&self, arch: Arch, x: &[f32], y: &mut [f32]) {
        assert!(x.len() / LANES >= self.reach, "buffers match their layouts");
        arch.dispatch(Run { conv: self, x, y });
    }
}

/// Returns whether columns of zeros are skipped.
fn skips(geometry: &ConvGeometry) -> bool {
    let ConvGeometry {
        margins,
        stride,
        from,
        ..
    } = *geometry;
    margins && stride == [1; 2] && from.row_step() <= MOST_COLUMNS
}

struct Run<'a> {
    conv: &'a ConvMany,
    x: &'a [f32],
    y: &'a mut [f32],
}

/// Adds the products of the `entries` with the inputs from position `first`.
///
/// # Safety
/// All inputs read are inside `x`.
#[inline(always)]
unsafe fn add<S: Simd, const N: usize, const A: usize, const P: usize>(
    simd: S,
    entries: &[Entry<N>],
    x: &[S::f32s],
    [first, row_step, row_stride, stride]: [usize; 4],
    sums: &mut [[S::f32s; P]; A],
) {
    let strips = LANES / S::F32_LANES;
    for &(place, values) in entries {
        let values = values.map(|value| simd.splat_f32s(value));
        for (y, sums) in sums.iter_mut().enumerate() {
            for (tap, &value) in values.iter().enumerate() {
                let row = place as usize + (y * row_stride + tap) * row_step;
                for (x_out, sum) in sums.iter_mut().enumerate() {
                    let at = first + (row + x_out * stride) * strips;
                    debug_assert!(at < x.len());
                    // SAFETY: the caller's promise.
                    let x = unsafe { *x.get_unchecked(at) };
                    *sum = simd.mul_add_e_f32s(value, x, *sum);
                }
            }
        }
    }
}

impl Run<'_> {
    /// Computes outputs in blocks of `A x P`. The last block of a row or column is shifted back to
    /// fit.
    #[inline(always)]
    fn blocks<S: Simd, const A: usize, const P: usize>(mut self, simd: S) {
        let ConvGeometry { stride, kernel, .. } = self.conv.geometry;
        let [above, left] = self.conv.geometry.origin();
        let [height, width] = self.conv.geometry.outputs();
        let starts = |side: usize, block: usize| {
            let starts = (0..side).step_by(block);
            starts.map(move |start| start.min(side - block))
        };
        let skips = skips(&self.conv.geometry);
        for part in self.conv.parts.windows(2) {
            for strip in 0..LANES / S::F32_LANES {
                for y in starts(height, A) {
                    let rows = above + y..above + y + A + kernel[0] - 1;
                    let live = skips.then(|| self.live_columns(simd, strip, rows));
                    for x in starts(width, P) {
                        let groups = live.map_or([0, self.conv.groups], |live| {
                            // Input columns that the block reads; a kernel column reads `P` of them.
                            let read = u64::MAX >> (MOST_COLUMNS + 1 - P - kernel[1]);
                            let live = live >> (left + x) & read;
                            let first = live.trailing_zeros() as usize;
                            let end = MOST_COLUMNS - live.leading_zeros() as usize;
                            let end = end.min(kernel[1]);
                            [first.saturating_sub(P - 1).min(end), end]
                        });
                        let (at, channels) = ([strip, y, x], part[0]..part[1]);
                        if stride == [1; 2] {
                            self.block::<S, false, A, P>(simd, at, groups, channels);
                        } else {
                            self.block::<S, true, A, P>(simd, at, groups, channels);
                        }
                    }
                }
            }
        }
    }

    /// Returns which columns of the padded input are nonzero in any sample and channel, in the
    /// given rows.
    #[inline(always)]
    fn live_columns<S: Simd>(&self, simd: S, strip: usize, rows: Range<usize>) -> u64 {
        let ConvGeometry { input, from, .. } = self.conv.geometry;
        let strips = LANES / S::F32_LANES;
        let x = S::as_simd_f32s(self.x).0;
        let zero = simd.splat_f32s(0.0);
        let mut live = 0;
        for col in 0..from.row_step() {
            let mut is_zero = simd.equal_f32s(zero, zero);
            for unit in 0..input.units {
                for row in rows.clone() {
                    let place = (unit * from.rows() + row) * from.row_step() + col;
                    let x = simd.equal_f32s(x[place * strips + strip], zero);
                    is_zero = simd.and_m32s(is_zero, x);
                }
            }
            let some = simd.first_true_m32s(simd.not_m32s(is_zero)) < S::F32_LANES;
            live |= u64::from(some) << col;
        }
        live
    }

    /// Computes a part's channels of a block from groups of taps whose inputs are near each other.
    #[inline(always)]
    fn block<S: Simd, const STRIDES: bool, const A: usize, const P: usize>(
        &mut self,
        simd: S,
        [strip, out_y, out_x]: [usize; 3],
        groups: [usize; 2],
        channels: Range<usize>,
    ) {
        let Self { conv, x, .. } = *self;
        let ConvGeometry {
            stride,
            pool,
            relu,
            from,
            to,
            ..
        } = conv.geometry;
        let [height, width] = conv.geometry.outputs();
        let bias_each = conv.geometry.has_bias_each(&conv.bias);
        let strips = LANES / S::F32_LANES;
        let [row_stride, stride] = if STRIDES { stride } else { [1; 2] };
        let row_step = from.row_step();
        let x = S::as_simd_f32s(x).0;
        let y = S::as_mut_simd_f32s(self.y).0;
        let first = (out_y * row_stride * row_step + out_x * stride) * strips + strip;
        let steps = [first, row_step, row_stride, stride];
        let zero = simd.splat_f32s(0.0);
        let finish = |sum| if relu { simd.max_f32s(sum, zero) } else { sum };
        let mut unit = to.place(out_y / pool, out_x / pool);
        unit += channels.start * to.unit_len().unwrap_or(0);
        for channel in channels {
            let mut sums = [[simd.splat_f32s(0.0); P]; A];
            if bias_each {
                for x in 0..P {
                    let bias = &conv.bias[(channel * width + out_x + x) * height + out_y..][..A];
                    for (sums, &bias) in sums.iter_mut().zip(bias) {
                        sums[x] = simd.splat_f32s(bias);
                    }
                }
            } else {
                sums = [[simd.splat_f32s(conv.bias[channel]); P]; A];
            }
            let [first, end] = groups.map(|group| conv.starts[channel * conv.groups + group]);
            let [pairs, singles] = [0, 1].map(|kind| first[kind] as usize..end[kind] as usize);
            // SAFETY: `reach` exceeds the last position that any tap reads, `run` has checked that `x`
            // is that long, and blocks are inside the outputs.
            unsafe {
                add(simd, &conv.pairs[pairs], x, steps, &mut sums);
                add(simd, &conv.singles[singles], x, steps, &mut sums);
            }
            if pool > 1 && A > 1 && P > 1 {
                for (row, sums) in sums.as_chunks::<2>().0.iter().enumerate() {
                    let first = unit + row * to.row_step();
                    let y = &mut y[first * strips + strip..][..=(P / 2 - 1) * strips];
                    for x in 0..P / 2 {
                        // In the order of `one.rs`, so that NaN gives the same result.
                        let [above, below] = sums.map(|sums| [sums[2 * x], sums[2 * x + 1]]);
                        let largest = simd.max_f32s(simd.max_f32s(above[0], above[1]), below[0]);
                        y[x * strips] = finish(simd.max_f32s(largest, below[1]));
                    }
                }
            } else {
                for (row, sums) in sums.into_iter().enumerate() {
                    let first = unit + row * to.row_step();
                    let y = &mut y[first * strips + strip..][..=(P - 1) * strips];
                    for (x, sum) in sums.into_iter().enumerate() {
                        y[x * strips] = finish(sum);
                    }
                }
            }
            unit += to.unit_len().unwrap_or(0);
        }
    }
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [height, width] = self.conv.geometry.outputs();
        // 16 sums, or 8 with 16 registers.
        let wide = S::F32_LANES == LANES || cfg!(target_arch = "aarch64");
        // Narrow blocks find more margins; otherwise square blocks read the least.
        let narrow = skips(&self.conv.geometry) && width >= 2;
        match height.min(width) {
            _ if narrow && wide && height >= 8 => self.blocks::<S, 8, 2>(simd),
            _ if narrow && height >= 4 => self.blocks::<S, 4, 2>(simd),
            4.. if wide => self.blocks::<S, 4, 4>(simd),
            2.. if width >= 4 => self.blocks::<S, 2, 4>(simd),
            2.. => self.blocks::<S, 2, 2>(simd),
            _ if width >= 4 => self.blocks::<S, 1, 4>(simd),
            _ if height >= 4 => self.blocks::<S, 4, 1>(simd),
            _ => self.blocks::<S, 1, 1>(simd),
        }
    }
}
