//! Transposes samples into lanes and logits out of them.
#![expect(
    unsafe_code,
    reason = "bounds checks are a fifth of a batch's time: one for all is made before"
)]

use pulp::{Arch, Simd, WithSimd};

use super::mul_add;
use super::pixel::{Pixel, QUAD};

/// Pixels to read of a sample and their target rows, in groups of four neighbours.
#[derive(Debug, Default)]
pub(in super::super) struct Transpose {
    quads: Vec<Quad>,
    /// Factor and shift of each pixel, unless 1 and 0.
    rules: Vec<[(f32, f32); QUAD]>,
}

#[derive(Debug, Clone, Copy)]
struct Quad {
    /// First pixel.
    start: u32,
    /// Target row of each pixel.
    rows: [u32; QUAD],
}

impl Transpose {
    /// Creates the transposition of pixels to rows, by increasing pixel, for samples of
    /// `sample_len` values. Other pixels of a group go to the row `spare`.
    pub(in super::super) fn new(
        pixels: impl Iterator<Item = (u32, u32)>,
        sample_len: usize,
        spare: u32,
    ) -> Self {
        let latest = u32::try_from(sample_len.saturating_sub(QUAD)).unwrap_or(u32::MAX);
        let mut quads: Vec<Quad> = Vec::new();
        for (pixel, row) in pixels {
            let last = quads.last_mut().filter(|quad| pixel - quad.start < 4);
            if let Some(quad) = last {
                quad.rows[(pixel - quad.start) as usize] = row;
            } else {
                // The last group ends where the samples end.
                let (start, mut rows) = (pixel.min(latest), [spare; QUAD]);
                rows[(pixel - start) as usize] = row;
                quads.push(Quad { start, rows });
            }
        }
        Self {
            quads,
            rules: Vec::new(),
        }
    }

    /// Adds a factor and a shift per pixel.
    pub(in super::super) fn with_rule(mut self, rule: impl Fn(u32) -> (f32, f32)) -> Self {
        let of = |quad: &Quad| {
            std::array::from_fn(|side| rule(quad.start + u32::try_from(side).unwrap_or(0)))
        };
        self.rules = self.quads.iter().map(of).collect();
        self
    }

    /// Transposes the pixels of each sample. Lanes without a sample get arbitrary finite values.
    ///
    /// # Shapes
    /// - `samples`: `[at most lanes, sample_len]`; `y`: `[rows, lanes]`
    pub(in super::super) fn run<T: Pixel>(
        &self,
        arch: Arch,
        samples: &[T],
        sample_len: usize,
        y: &mut [f32],
        lanes: usize,
    ) {
        let end = self
            .quads
            .last()
            .map_or(0, |quad| quad.start as usize + QUAD);
        assert!(end <= sample_len.max(QUAD), "pixels are inside a sample");
        arch.dispatch(Run {
            transpose: self,
            samples,
            sample_len,
            y,
            lanes,
        });
    }
}

struct Run<'a, T> {
    transpose: &'a Transpose,
    samples: &'a [T],
    sample_len: usize,
    y: &'a mut [f32],
    lanes: usize,
}

impl<T: Pixel> Run<'_, T> {
    /// Transposes samples shorter than four pixels.
    fn by_pixel<S: Simd>(self, simd: S) {
        for (lane, sample) in self.samples.chunks_exact(self.sample_len).enumerate() {
            for (index, quad) in self.transpose.quads.iter().enumerate() {
                let rows = quad.rows.iter().zip(&sample[quad.start as usize..]);
                for (side, (&row, &pixel)) in rows.enumerate() {
                    let rule = self
                        .transpose
                        .rules
                        .get(index)
                        .map_or((1.0, 0.0), |rule| rule[side]);
                    self.y[row as usize * self.lanes + lane] =
                        mul_add(simd, pixel.to_f32(), rule.0, rule.1);
                }
            }
        }
    }

    #[inline(always)]
    fn groups<S: Simd, const RULE: bool>(&mut self, simd: S) {
        let len = self.sample_len;
        let samples = self.samples.len() / len;
        let mut lane = 0;
        while lane + S::F32_LANES <= samples {
            self.group::<S, RULE>(simd, lane, |sample| (lane + sample) * len);
            lane += S::F32_LANES;
        }
        if lane < samples {
            // Missing lanes of the last vector repeat the last sample.
            self.group::<S, RULE>(simd, lane, |sample| (lane + sample).min(samples - 1) * len);
        }
    }

    /// Transposes a vector of samples into the lanes from `lane`; `start` maps a lane to the start
    /// of its sample.
    #[inline(always)]
    fn group<S: Simd, const RULE: bool>(
        &mut self,
        simd: S,
        lane: usize,
        start: impl Fn(usize) -> usize + Copy,
    ) {
        let Self {
            transpose,
            samples,
            lanes,
            ..
        } = *self;
        for (index, quad) in transpose.quads.iter().enumerate() {
            // SAFETY: groups are inside a sample, as `run` has checked, and samples are inside `samples`.
            let turned = unsafe { T::turn(simd, samples, quad.start as usize, start) };
            for (side, (&row, &values)) in quad.rows.iter().zip(&turned).enumerate() {
                let at = row as usize * lanes + lane;
                let y = S::as_mut_simd_f32s(&mut self.y[at..at + S::F32_LANES]).0;
                y[0] = if RULE {
                    let (factor, shift) = transpose.rules[index][side];
                    simd.mul_add_e_f32s(values, simd.splat_f32s(factor), simd.splat_f32s(shift))
                } else {
                    values
                };
            }
        }
    }
}

impl<T: Pixel> WithSimd for Run<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if self.sample_len < QUAD {
            self.by_pixel(simd);
        } else if self.transpose.rules.is_empty() {
            self.groups::<S, false>(simd);
        } else {
            self.groups::<S, true>(simd);
        }
    }
}

/// Writes the logits of each sample.
///
/// # Shapes
/// - `y`: `[classes, lanes]`; `logits`: `[at most lanes, classes]`
pub(in super::super) fn logits(y: &[f32], logits: &mut [f32], classes: usize, lanes: usize) {
    for (lane, logits) in logits.chunks_exact_mut(classes).enumerate() {
        for (logit, y) in logits.iter_mut().zip(y.chunks_exact(lanes)) {
            *logit = y[lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::arches;
    use super::*;
    use crate::testing::Draws;

    /// Bounds-checked reference, pixel by pixel.
    fn transpose_slow<T: Pixel>(
        pixels: &[(u32, u32)],
        samples: &[T],
        sample_len: usize,
        y: &mut [f32],
        lanes: usize,
    ) {
        for (lane, sample) in samples.chunks_exact(sample_len).enumerate() {
            for &(pixel, row) in pixels {
                y[row as usize * lanes + lane] = sample[pixel as usize].to_f32();
            }
        }
    }

    fn check<T: Pixel>(arch: Arch, samples: &[T], sample_len: usize, pixels: &[(u32, u32)]) {
        let spare = u32::try_from(pixels.len()).unwrap();
        let transpose = Transpose::new(pixels.iter().copied(), sample_len, spare);
        for lanes in [16, 32, 64] {
            let n = (samples.len() / sample_len).min(lanes);
            let samples = &samples[..n * sample_len];
            let (mut fast, mut slow) = (
                vec![0.0; (pixels.len() + 1) * lanes],
                vec![0.0; pixels.len() * lanes],
            );
            transpose.run(arch, samples, sample_len, &mut fast, lanes);
            transpose_slow(pixels, samples, sample_len, &mut slow, lanes);
            for (fast, slow) in fast.chunks(lanes).zip(slow.chunks(lanes)) {
                assert_eq!(fast[..n], slow[..n]);
            }
        }
    }

    #[test]
    fn turned_pixels_agree_with_the_checked_twin() {
        let arches = arches();
        let draws = &mut Draws(1);
        for case in 0..60 {
            let sample_len = 1 + draws.below(40);
            let n = 1 + draws.below(70);
            let bytes: Vec<u8> = (0..n * sample_len)
                .map(|_| u8::try_from(draws.below(256)).unwrap())
                .collect();
            let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte)).collect();
            let read =
                (0..u32::try_from(sample_len).unwrap()).filter(|_| draws.below(3) > case % 3);
            let pixels: Vec<(u32, u32)> = read.zip(0..).collect();
            for &arch in &arches {
                check(arch, &bytes, sample_len, &pixels);
                check(arch, &floats, sample_len, &pixels);
            }
        }
    }
}
