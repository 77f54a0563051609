//! How pixels become inputs: `x = (pixel * scale - mean) / std`.

use serde::{Deserialize, Serialize};

use super::NetSpec;
use crate::data::Samples;
use crate::graph::Shape;

/// The rule, before any data are seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Factor on the pixel, an integer of 0 to 255.
    #[serde(default = "Normalize::default_scale")]
    pub scale: f64,
    /// What is taken away after scaling.
    #[serde(default = "Statistic::zero")]
    pub mean: Statistic,
    /// What the difference is divided by.
    #[serde(default = "Statistic::one")]
    pub std: Statistic,
}

/// A mean or a standard deviation: of every pixel of the training set, or given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Statistic {
    /// One number for all.
    Number(f64),
    /// One number a channel.
    Channels(Vec<f64>),
    /// `"image"`: one number a pixel, measured on the training images.
    Measured(Measured),
}

/// The word for a statistic that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// Pixel by pixel over the training images.
    Image,
}

impl Statistic {
    fn zero() -> Self {
        Self::Number(0.0)
    }

    fn one() -> Self {
        Self::Number(1.0)
    }

    /// Whether it is one number a pixel, and so a tensor in the file.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Measured(Measured::Image))
    }

    fn check(&self, name: &str, shape: Shape, valid: impl Fn(f64) -> bool) -> Result<(), String> {
        let values = match self {
            Self::Number(value) => std::slice::from_ref(value),
            Self::Channels(values) => {
                let channels = shape.dims()[0];
                if values.len() != channels {
                    let found = values.len();
                    return Err(format!(
                        "{name} has {found} numbers for {channels} channels"
                    ));
                }
                values
            }
            Self::Measured(_) => return Ok(()),
        };
        match values.iter().find(|&&value| !valid(value)) {
            Some(value) => Err(format!("{name} cannot be {value}")),
            None => Ok(()),
        }
    }

    /// One number an input value; `measured` where it is an image.
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
            Self::Measured(Measured::Image) => measured.filter(|values| values.len() == len),
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

    pub(crate) fn check(&self, shape: Shape) -> Result<(), String> {
        if !self.scale.is_finite() || self.scale == 0.0 {
            return Err(format!("scale cannot be {}", self.scale));
        }
        self.mean.check("mean", shape, f64::is_finite)?;
        self.std
            .check("std", shape, |value| value.is_finite() && value > 0.0)
    }
}

/// The rule with its numbers: one mean and one standard deviation for each input value.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalizer {
    /// Factor on the pixel.
    pub scale: f32,
    /// What is taken away, `[input_len]`.
    pub mean: Vec<f32>,
    /// What the difference is divided by, `[input_len]`.
    pub std: Vec<f32>,
}

impl Normalizer {
    /// Measures what the rule leaves to the training images. A pixel that never varies gets the
    /// standard deviation 1.
    ///
    /// # Panics
    /// If the images are not of the network's input length.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub fn measure(spec: &NetSpec, train: &Samples) -> Self {
        let rule = &spec.normalize;
        let (mut mean, mut std) = (None, None);
        if rule.mean.is_image() || rule.std.is_image() {
            let (sum, square_sum) = pixel_sums(train);
            let count = train.len().max(1) as f64;
            let moments = sum.iter().zip(&square_sum).map(|(&sum, &square_sum)| {
                let mean = sum as f64 / count;
                (
                    mean,
                    (square_sum as f64 / count - mean * mean).max(0.0).sqrt(),
                )
            });
            let (means, stds): (Vec<f32>, Vec<f32>) = moments
                .map(|(mean, std)| {
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

    /// The rule with its measured images as they stand in a file. `None` if one that the rule asks
    /// for is absent or has the wrong length.
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

    /// Writes the inputs of one sample.
    ///
    /// # Shapes
    /// - `pixels`, `out`: `[input_len]`
    pub fn apply(&self, pixels: &[u8], out: &mut [f32]) {
        let statistics = self.mean.iter().zip(&self.std);
        for ((out, &pixel), (&mean, &std)) in out.iter_mut().zip(pixels).zip(statistics) {
            *out = (f32::from(pixel) * self.scale - mean) / std;
        }
    }
}

/// Exact sums of each pixel and of its square.
fn pixel_sums(samples: &Samples) -> (Vec<u64>, Vec<u64>) {
    let len = samples.sample_len();
    let (mut sum, mut square_sum) = (vec![0_u64; len], vec![0_u64; len]);
    for index in 0..samples.len() {
        for ((sum, square_sum), &pixel) in sum
            .iter_mut()
            .zip(&mut square_sum)
            .zip(samples.image(index))
        {
            let pixel = u64::from(pixel);
            *sum += pixel;
            *square_sum += pixel * pixel;
        }
    }
    (sum, square_sum)
}
