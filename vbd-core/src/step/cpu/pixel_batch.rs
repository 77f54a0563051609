//! The nonzero pixels of a batch, by sample and by pixel.
//!
//! An input is `x = v - m` with `v = pixel * scale / std` and `m = mean / std`, and most pixels of
//! handwriting are zero. A sum over inputs is therefore a sum over nonzero pixels plus a part that
//! is the same for every sample: `sum x w = sum v w - sum m w` and `sum x^2 s = sum ((v - m)^2 -
//! m^2) s + sum m^2 s`.

use vbd_net::data::Values;
use vbd_net::runtime::Pixel;
use vbd_net::spec::Normalizer;

use crate::data::Batch;

/// Pixels in an order: for each sample its pixels, or for each pixel its samples.
#[derive(Debug, Default)]
pub(super) struct Order {
    ends: Vec<usize>,
    pub(super) indices: Vec<u32>,
    /// `v`.
    pub(super) value: Vec<f32>,
    /// `(v - m)^2 - m^2 = v (v - 2 m)`.
    pub(super) square: Vec<f32>,
}

impl Order {
    pub(super) fn range(&self, index: usize) -> std::ops::Range<usize> {
        self.ends[index]..self.ends[index + 1]
    }

    fn clear(&mut self) {
        self.ends.clear();
        self.ends.push(0);
        self.indices.clear();
        self.value.clear();
        self.square.clear();
    }
}

/// The batch and its shift.
#[derive(Debug, Default)]
pub(super) struct PixelBatch {
    pub(super) by_sample: Order,
    pub(super) by_pixel: Order,
    /// `scale / std` of each pixel.
    factor: Vec<f32>,
    /// `mean / std` of each pixel.
    pub(super) shift: Vec<f32>,
    samples: usize,
}

impl PixelBatch {
    pub(super) fn new(normalizer: &Normalizer) -> Self {
        let Normalizer { scale, mean, std } = normalizer;
        Self {
            factor: std.iter().map(|std| scale / std).collect(),
            shift: mean.iter().zip(std).map(|(mean, std)| mean / std).collect(),
            ..Self::default()
        }
    }

    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// Loads the pixels of a batch.
    pub(super) fn fill(&mut self, batch: &Batch) {
        self.samples = batch.len();
        match batch.inputs() {
            Values::U8(pixels) => self.fill_by_sample(pixels),
            Values::F32(pixels) => self.fill_by_sample(pixels),
        }
        self.turn();
    }

    fn fill_by_sample<T: Pixel + PartialEq + Default>(&mut self, pixels: &[T]) {
        let Self {
            by_sample,
            by_pixel,
            factor,
            shift,
            ..
        } = self;
        by_sample.clear();
        by_pixel.clear();
        by_pixel.ends.resize(factor.len() + 1, 0);
        let zero = T::default();
        for image in pixels.chunks_exact(factor.len()) {
            // Eight pixels at once: handwriting is mostly runs of zeros.
            for (chunk, pixels) in image.chunks(8).enumerate() {
                if pixels == &[zero; 8][..pixels.len()] {
                    continue;
                }
                let lit = (8 * chunk..).zip(pixels);
                for (place, &pixel) in lit.filter(|(_, pixel)| **pixel != zero) {
                    let value = pixel.to_f32() * factor[place];
                    by_sample.indices.push(super::geometry::narrow(place));
                    by_sample.value.push(value);
                    by_sample.square.push(value * (value - 2.0 * shift[place]));
                    by_pixel.ends[place + 1] += 1;
                }
            }
            by_sample.ends.push(by_sample.indices.len());
        }
    }

    /// Sorts by pixel with a counting sort, so that the samples of a pixel stay in order.
    fn turn(&mut self) {
        let Self {
            by_sample,
            by_pixel,
            ..
        } = self;
        let mut end = 0;
        for count in &mut by_pixel.ends {
            end += std::mem::replace(count, end);
        }
        let len = by_sample.indices.len();
        by_pixel.indices.resize(len, 0);
        by_pixel.value.resize(len, 0.0);
        by_pixel.square.resize(len, 0.0);
        for sample in 0..by_sample.ends.len() - 1 {
            for from in by_sample.range(sample) {
                let next = &mut by_pixel.ends[by_sample.indices[from] as usize + 1];
                by_pixel.indices[*next] = super::geometry::narrow(sample);
                by_pixel.value[*next] = by_sample.value[from];
                by_pixel.square[*next] = by_sample.square[from];
                *next += 1;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same bits, moved")]
mod tests {
    use vbd_net::data::Samples;

    use super::*;

    #[test]
    fn both_orders_hold_every_pixel_that_is_not_zero() {
        let len = 19;
        let images: Vec<u8> = (0..5 * len)
            .map(|i| {
                if i * 7 % 5 < 3 {
                    0
                } else {
                    u8::try_from(i * 37 % 251).unwrap()
                }
            })
            .collect();
        let floats: Vec<f32> = images.iter().map(|&pixel| f32::from(pixel)).collect();
        let normalizer = Normalizer {
            scale: 0.5,
            mean: vec![3.0; len],
            std: vec![2.0; len],
        };
        let mut batch = PixelBatch::new(&normalizer);
        let samples = [
            Samples::unlabelled(images.clone(), len).unwrap(),
            Samples::unlabelled(floats, len).unwrap(),
        ];
        for (samples, indices) in samples
            .iter()
            .flat_map(|samples| [&[4, 0, 2][..], &[1], &[3, 3]].map(|indices| (samples, indices)))
        {
            batch.fill(&Batch::of(samples, indices));
            for (number, &index) in indices.iter().enumerate() {
                let image = &images[index as usize * len..][..len];
                let range = batch.by_sample.range(number);
                let found: Vec<usize> = batch.by_sample.indices[range.clone()]
                    .iter()
                    .map(|&i| i as usize)
                    .collect();
                let expected: Vec<usize> = (0..len).filter(|&i| image[i] != 0).collect();
                assert_eq!(found, expected);
                for (place, at) in found.into_iter().zip(range) {
                    let x = (f32::from(image[place]) * 0.5 - 3.0) / 2.0;
                    assert!((batch.by_sample.value[at] - 1.5 - x).abs() < 1e-4);
                    assert!((batch.by_sample.square[at] + 2.25 - x * x).abs() < 1e-2);
                    let turned = batch.by_pixel.range(place);
                    let same = |&t: &usize| {
                        batch.by_pixel.indices[t] as usize == number
                            && batch.by_pixel.value[t] == batch.by_sample.value[at]
                            && batch.by_pixel.square[t] == batch.by_sample.square[at]
                    };
                    assert_eq!(turned.filter(same).count(), 1);
                }
            }
            assert_eq!(batch.by_pixel.indices.len(), batch.by_sample.indices.len());
        }
    }
}
