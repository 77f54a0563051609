//! One number per input value, stored compactly.

use crate::spec::{NetSpec, Statistic};

/// Mean or standard deviation of the inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum PerInput {
    /// The same for all values.
    All(f32),
    /// One per channel of `area` values.
    Channels {
        /// Numbers of the channels.
        values: Vec<f32>,
        /// Values per channel.
        area: usize,
    },
    /// One per value.
    Each(Vec<f32>),
}

impl PerInput {
    /// Creates the numbers of a normalisation; `image` if measured.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub(crate) fn new(rule: &Statistic, image: Option<&Vec<f32>>, spec: &NetSpec) -> Self {
        match (rule, image) {
            (Statistic::Measured(_), Some(image)) => Self::Each(image.clone()),
            (Statistic::Channels(values), _) => Self::Channels {
                values: values.iter().map(|&value| value as f32).collect(),
                area: spec.input_len() / values.len(),
            },
            (Statistic::Number(value), _) => Self::All(*value as f32),
            (Statistic::Measured(_), None) => unreachable!("a net holds the images of its rule"),
        }
    }

    /// Returns whether all numbers are 0.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::All(value) => *value == 0.0,
            Self::Channels { values, .. } | Self::Each(values) => {
                values.iter().all(|&value| value == 0.0)
            }
        }
    }

    /// Returns the number of an input value.
    #[inline]
    pub fn at(&self, index: usize) -> f32 {
        match self {
            Self::All(value) => *value,
            Self::Channels { values, area } => values[index / area],
            Self::Each(values) => values[index],
        }
    }
}
