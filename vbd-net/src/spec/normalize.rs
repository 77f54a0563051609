//! Normalisation of pixels: `x = (pixel * scale - mean) / std`.

use serde::{Deserialize, Serialize};

use super::NetSpec;
use crate::data::{Samples, Values};
use crate::graph::Shape;
use crate::runtime::Pixel;

/// Normalisation of a network, before any data are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Factor on the pixel, an integer of 0 to 255.
    #[serde(default = "Normalize::default_scale")]
    pub scale: f64,
    /// Mean subtracted after scaling.
    #[serde(default = "Statistic::zero")]
    pub mean: Statistic,
    /// Standard deviation to divide by.
    #[serde(default = "Statistic::one")]
    pub std: Statistic,
}

/// A mean or a standard deviation: given, or measured on the training set.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Statistic {
    /// One number for all values.
    Number(f64),
    /// One number per channel.
    Channels(Vec<f64>),
    /// `"image"`: one number per pixel, measured on the training images.
    Measured(Measurement),
}

/// Kind of a measured statistic.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// Per pixel over the training images.
    Image,
}

impl Statistic {
    fn zero() -> Self {
        Self::Number(0.0)
    }

    fn one() -> Self {
        Self::Number(1.0)
    }

    /// Returns whether it is one number per pixel, stored as a tensor.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Measured(Measurement::Image))
    }

    fn check(&self, name: &str, shape: Shape, valid: impl Fn(f64) -> bool) -> Result<(), String> {
        let values = match self {
            Self::Number(value) => std::slice::from_ref(value),
            Self::Channels(values) => {
                let channels = shape.dims()[0];
                if values.len() != channels {
                    let found = values.len();
                    return Err(format!(
                        "{name} has {found} numbers: expected one or one per channel ({channels})"
                    ));
                }
                values
            }
            Self::Measured(_) => return Ok(()),
        };
        match values.iter().find(|&&value| !valid(value)) {
            Some(value) => Err(format!("{name} is out of range: {value:?}")),
            None => Ok(()),
        }
    }

    /// Expands to one number per input value; `measured` is the image, if needed.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    fn expand(&self, spec: &NetSpec, measured: Option<Vec<f32>>) -> Option<Vec<f32>> {
        let len = spec.input_len();
        match self {
            Self::Number(value) => Some(vec![*value as f32; len]),
            Self::Channels(values) => {
                let area = len / values.len();
                Some(
                    values
                        .iter()
                        .flat_map(|&v| std::iter::repeat_n(v as f32, area))
                        .collect(),
                )
            }
            Self::Measured(Measurement::Image) => measured.filter(|values| values.len() == len),
        }
    }
}

impl Default for Normalize {
    fn default() -> Self {
        Self {
            scale: Self::default_scale(),
            mean: Statistic::zero(),
            std: Statistic::one(),
        }
    }
}

impl Normalize {
    fn default_scale() -> f64 {
        1.0
    }

    /// Checks that all numbers are in range in f32, in which they are used, and that no byte becomes
    /// infinite.
    #[expect(clippy::cast_possible_truncation, reason = "checked as they are used")]
    pub(crate) fn check(&self, shape: Shape) -> Result<(), String> {
        let is_finite = |value: f64| (value as f32).is_finite();
        if !is_finite(self.scale) || self.scale as f32 == 0.0 {
            return Err(format!("scale is out of range: {:?}", self.scale));
        }
        self.mean.check("mean", shape, is_finite)?;
        let is_positive = |value: f64| is_finite(value) && value as f32 > 0.0;
        self.std.check("std", shape, is_positive)?;
        // Without a vector for each channel: a small file may declare 2^24 of them.
        let number = |statistic: &Statistic, channel: usize, measured: f64| match statistic {
            Statistic::Number(value) => *value,
            Statistic::Channels(values) => values[channel],
            Statistic::Measured(_) => measured,
        };
        let differ = [&self.mean, &self.std].map(|statistic| match statistic {
            Statistic::Channels(values) => values.len(),
            _ => 1,
        });
        let overflows = (0..differ[0].max(differ[1])).any(|channel| {
            let mean = number(&self.mean, channel, 0.0) as f32;
            let std = number(&self.std, channel, 1.0) as f32;
            let extremes = normalized_extremes(self.scale as f32, mean, std);
            extremes.iter().any(|value| !value.is_finite())
        });
        if overflows {
            return Err("scale, mean and std give infinite inputs".to_owned());
        }
        Ok(())
    }
}

/// A normalisation with its numbers: one mean and one standard deviation per input value.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalizer {
    /// Factor on the pixel.
    pub scale: f32,
    /// Mean, `[input_len]`.
    pub mean: Vec<f32>,
    /// Standard deviation, `[input_len]`.
    pub std: Vec<f32>,
}

impl Normalizer {
    /// Measures the images on the training set. A pixel that never varies gets standard deviation
    /// 1.
    ///
    /// # Panics
    /// If the images do not have the network's input length.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub fn measure(spec: &NetSpec, train: &Samples) -> Self {
        let rule = &spec.normalize;
        let (mut mean, mut std) = (None, None);
        if rule.mean.is_image() || rule.std.is_image() {
            let moments = match train.inputs() {
                Values::U8(pixels) => moments_of_bytes(pixels, train.sample_len()),
                Values::F32(values) => moments_of_floats(values, train.sample_len()),
            };
            let (means, stds): (Vec<f32>, Vec<f32>) = moments
                .into_iter()
                .map(|Moments { mean, std }| {
                    let std = if std > 0.0 {
                        std * rule.scale.abs()
                    } else {
                        1.0
                    };
                    ((mean * rule.scale) as f32, std as f32)
                })
                .unzip();
            (mean, std) = (Some(means), Some(stds));
        }
        Self::with_images(spec, mean, std).expect("measured images have the network's input length")
    }

    /// Creates a normaliser from stored images. Returns `None` if a required one is missing or has
    /// the wrong length.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub fn with_images(
        spec: &NetSpec,
        mean: Option<Vec<f32>>,
        std: Option<Vec<f32>>,
    ) -> Option<Self> {
        let rule = &spec.normalize;
        Some(Self {
            scale: rule.scale as f32,
            mean: rule.mean.expand(spec, mean)?,
            std: rule.std.expand(spec, std)?,
        })
    }

    /// Normalises the values of one sample.
    ///
    /// # Shapes
    /// - `pixels`, `out`: `[input_len]`
    pub fn apply<T: Pixel>(&self, pixels: &[T], out: &mut [f32]) {
        for (place, (out, &pixel)) in out.iter_mut().zip(pixels).enumerate() {
            *out = self.value(pixel, place);
        }
    }

    /// Normalises the value at `place` of a sample: `(pixel * scale - mean) / std`.
    #[inline(always)]
    pub fn value<T: Pixel>(&self, pixel: T, place: usize) -> f32 {
        normalized(
            pixel.to_f32(),
            self.scale,
            self.mean[place],
            self.std[place],
        )
    }
}

/// Returns the normalised smallest and largest byte.
pub(crate) fn normalized_extremes(scale: f32, mean: f32, std: f32) -> [f32; 2] {
    [0.0, f32::from(u8::MAX)].map(|pixel| normalized(pixel, scale, mean, std))
}

/// Computes `(pixel * scale - mean) / std`.
#[inline(always)]
pub(crate) fn normalized(pixel: f32, scale: f32, mean: f32, std: f32) -> f32 {
    (pixel * scale - mean) / std
}

/// Mean and standard deviation of one pixel.
struct Moments {
    mean: f64,
    std: f64,
}

/// Computes moments from exact sums of each pixel and its square.
fn moments_of_bytes(pixels: &[u8], len: usize) -> Vec<Moments> {
    let (mut sum, mut square_sum) = (vec![0_u64; len], vec![0_u64; len]);
    for image in pixels.chunks_exact(len.max(1)) {
        for ((sum, square_sum), &pixel) in sum.iter_mut().zip(&mut square_sum).zip(image) {
            let pixel = u64::from(pixel);
            *sum += pixel;
            *square_sum += pixel * pixel;
        }
    }
    let count = pixels.len().checked_div(len).unwrap_or(0).max(1) as f64;
    let moments = sum.into_iter().zip(square_sum).map(|(sum, square_sum)| {
        let mean = sum as f64 / count;
        Moments {
            mean,
            std: (square_sum as f64 / count - mean * mean).max(0.0).sqrt(),
        }
    });
    moments.collect()
}

/// Computes moments from differences to the first sample, so that a constant value has a deviation
/// of exactly 0.
fn moments_of_floats(values: &[f32], len: usize) -> Vec<Moments> {
    let Some(first) = values.get(..len) else {
        let none = Moments {
            mean: 0.0,
            std: 0.0,
        };
        return std::iter::repeat_with(|| Moments { ..none })
            .take(len)
            .collect();
    };
    let (mut sum, mut square_sum) = (vec![0.0_f64; len], vec![0.0_f64; len]);
    for sample in values.chunks_exact(len.max(1)) {
        let sums = sum.iter_mut().zip(&mut square_sum);
        for ((sum, square_sum), (&value, &first)) in sums.zip(sample.iter().zip(first)) {
            let difference = f64::from(value) - f64::from(first);
            *sum += difference;
            *square_sum += difference * difference;
        }
    }
    let count = (values.len() / len.max(1)).max(1) as f64;
    let sums = sum.into_iter().zip(square_sum).zip(first);
    let moments = sums.map(|((sum, square_sum), &first)| {
        let mean = sum / count;
        Moments {
            mean: f64::from(first) + mean,
            std: (square_sum / count - mean * mean).max(0.0).sqrt(),
        }
    });
    moments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(normalize: &str) -> NetSpec {
        let layer = r#"{"kind":"linear","name":"a","out_features":1}"#;
        let json = format!(
            r#"{{"name":"n","input":[3],"classes":1,"normalize":{normalize},"layer":[{layer}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn bytes_and_the_same_values_as_f32_have_the_same_statistics() {
        let spec = spec(r#"{"scale":0.25,"mean":"image","std":"image"}"#);
        let bytes: Vec<u8> = (0..30_u8)
            .map(|i| if i % 3 == 2 { 9 } else { i * 7 })
            .collect();
        let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte)).collect();
        let of_bytes = Normalizer::measure(&spec, &Samples::unlabelled(bytes.clone(), 3).unwrap());
        let of_floats =
            Normalizer::measure(&spec, &Samples::unlabelled(floats.clone(), 3).unwrap());
        assert_eq!(of_bytes, of_floats);
        // A value that never varies.
        assert_eq!((of_floats.std[2], of_floats.mean[2]), (1.0, 2.25));
        let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
        of_bytes.apply(&bytes[3..6], &mut a);
        of_floats.apply(&floats[3..6], &mut b);
        assert_eq!(a, b);
        assert!(a[0] < 0.0 && a[2] == 0.0, "{a:?}");
    }

    #[test]
    fn a_small_spread_around_a_large_f32_is_measured() {
        let spec = spec(r#"{"mean":"image","std":"image"}"#);
        let offsets = [0.0_f32, 0.5, 1.0, 0.5];
        let values: Vec<f32> = offsets
            .iter()
            .flat_map(|x| [1e6 + x, 3.1, -1e6 - x])
            .collect();
        let found = Normalizer::measure(&spec, &Samples::unlabelled(values, 3).unwrap());
        let std = 0.125_f32.sqrt();
        assert!((found.std[0] - std).abs() < 1e-6 && (found.std[2] - std).abs() < 1e-6);
        assert_eq!((found.std[1], found.mean[1]), (1.0, 3.1));
        assert_eq!(found.mean[0], 1e6 + 0.5);
    }
}
