//! Data sets: inputs as bytes or f32, with or without labels.

mod values;

pub use values::{Inputs, Values, ValuesMut};

use crate::error::{Error, Result};
use crate::spec::NetSpec;

/// Inputs below this are too small for a network that scales them down.
const SMALL: f64 = 0.1;

/// Images of one shape, split into training and test samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Name shown in reports.
    pub name: String,
    /// `[channels, height, width]` of one image.
    pub shape: [usize; 3],
    /// Number of classes; every label is below it. 0 without labels.
    pub classes: usize,
    /// Names of the classes in the order of their numbers; empty if they have none.
    pub class_names: Vec<String>,
    /// Training samples.
    pub train: Samples,
    /// Test samples.
    pub test: Samples,
}

impl Dataset {
    /// Creates a data set.
    ///
    /// # Errors
    /// [`Error::Data`] if the length of a sample does not match `shape`, or a label is not below
    /// `classes`.
    pub fn new(
        name: impl Into<String>,
        shape: [usize; 3],
        classes: usize,
        train: Samples,
        test: Samples,
    ) -> Result<Self> {
        let name = name.into();
        let len = shape.iter().product::<usize>();
        for samples in [&train, &test] {
            let problem = |field, found: usize, expected| Error::Data {
                name: name.clone(),
                field,
                found: found.to_string(),
                expected,
            };
            if samples.sample_len != len {
                let expected = format!("{len}, the product of {shape:?}");
                return Err(problem("sample length", samples.sample_len, expected));
            }
            let largest = samples.labels().unwrap_or_default().iter().max();
            if let Some(largest) = largest.map(|&label| usize::from(label))
                && largest >= classes
            {
                return Err(problem("label", largest, format!("less than {classes}")));
            }
        }
        Ok(Self {
            name,
            shape,
            classes,
            class_names: Vec::new(),
            train,
            test,
        })
    }

    /// Adds the names of the classes, in the order of their numbers.
    ///
    /// # Panics
    /// If there is not one for each class.
    #[must_use]
    pub fn with_class_names(self, class_names: Vec<String>) -> Self {
        assert_eq!(class_names.len(), self.classes, "a name for each class");
        Self {
            class_names,
            ..self
        }
    }

    /// Checks that a network takes images of this shape: the same channels, rows and columns, or as
    /// many features as an image has values.
    ///
    /// # Errors
    /// [`Error::ImageShape`].
    pub fn check_shape(&self, spec: &NetSpec) -> Result<()> {
        let len = self.shape.iter().product::<usize>();
        if spec.input == self.shape || spec.input == [len] {
            return Ok(());
        }
        Err(Error::ImageShape {
            data: self.name.clone(),
            found: self.shape,
            net: spec.name.clone(),
            expected: spec.input.clone(),
        })
    }

    /// Returns the largest normalised input, if inputs in f32 are far smaller than the normalisation of
    /// a network expects: below a tenth. Bytes reach 255 whatever the samples hold.
    pub fn too_small_for(&self, spec: &NetSpec) -> Option<f64> {
        let scale = spec.normalize.scale.abs();
        let Values::F32(values) = self.train.inputs() else {
            return None;
        };
        let largest = values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let scaled = f64::from(largest) * scale;
        (scale < 1.0 && scaled < SMALL).then_some(scaled)
    }

    /// Computes the CRC-32 of all inputs and labels, training samples first.
    pub fn crc32(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for samples in [&self.train, &self.test] {
            match samples.inputs() {
                Values::U8(pixels) => hasher.update(pixels),
                Values::F32(values) => {
                    for value in values {
                        hasher.update(&value.to_le_bytes());
                    }
                }
            }
            hasher.update(samples.labels().unwrap_or_default());
        }
        hasher.finalize()
    }
}

/// Inputs, `[len, sample_len]`, row-major, with optional labels, `[len]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    inputs: Inputs,
    labels: Option<Vec<u8>>,
    len: usize,
    sample_len: usize,
}

impl Samples {
    /// Creates samples from inputs (`[len, sample_len]`, bytes or f32) and labels (`[len]`).
    ///
    /// # Errors
    /// [`Error::Data`] if the lengths do not match; [`Error::InputNotFinite`] if an input is NaN or
    /// infinite.
    pub fn new(inputs: impl Into<Inputs>, labels: Vec<u8>, sample_len: usize) -> Result<Self> {
        let len = labels.len();
        Self::check(inputs.into(), Some(labels), [len, sample_len])
    }

    /// Creates samples from inputs (`[len, sample_len]`, bytes or f32) without labels.
    ///
    /// # Errors
    /// Those of [`Samples::new`].
    pub fn unlabelled(inputs: impl Into<Inputs>, sample_len: usize) -> Result<Self> {
        let inputs = inputs.into();
        let len = inputs.values().len() / sample_len.max(1);
        Self::check(inputs, None, [len, sample_len])
    }

    fn check(
        inputs: Inputs,
        labels: Option<Vec<u8>>,
        [len, sample_len]: [usize; 2],
    ) -> Result<Self> {
        let values = inputs.values();
        if len.checked_mul(sample_len) != Some(values.len()) {
            let of = if labels.is_some() {
                "labels"
            } else {
                "whole samples"
            };
            return Err(Error::Data {
                name: "samples".to_owned(),
                field: "number of pixels",
                found: values.len().to_string(),
                expected: format!("{len} {of} times {sample_len}"),
            });
        }
        if let Some((index, value)) = values.not_finite() {
            return Err(Error::InputNotFinite {
                sample: index / sample_len.max(1),
                place: index % sample_len.max(1),
                value,
            });
        }
        Ok(Self {
            inputs,
            labels,
            len,
            sample_len,
        })
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of values per sample.
    pub fn sample_len(&self) -> usize {
        self.sample_len
    }

    /// Returns the input of one sample.
    ///
    /// # Panics
    /// If `index` is not below [`Samples::len`].
    pub fn input(&self, index: usize) -> Values<'_> {
        let start = index * self.sample_len;
        self.inputs().range(start..start + self.sample_len)
    }

    /// Returns all inputs, `[len, sample_len]`.
    pub fn inputs(&self) -> Values<'_> {
        self.inputs.values()
    }

    /// Returns all labels, `[len]`, if there are any.
    pub fn labels(&self) -> Option<&[u8]> {
        self.labels.as_deref()
    }

    /// Splits off the last `held_out` samples. Returns the first `len - held_out` samples and the
    /// rest.
    ///
    /// # Panics
    /// If there are fewer than `held_out` samples.
    pub fn split_last(&self, held_out: usize) -> (Self, Self) {
        let first = self.len - held_out;
        let part = |from: usize, to: usize| {
            let values = self.inputs();
            let values = values.range(from * self.sample_len..to * self.sample_len);
            Self {
                inputs: match values {
                    Values::U8(values) => values.to_vec().into(),
                    Values::F32(values) => values.to_vec().into(),
                },
                labels: self.labels().map(|labels| labels[from..to].to_vec()),
                len: to - from,
                sample_len: self.sample_len,
            }
        };
        (part(0, first), part(first, self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_finite_number_names_its_sample() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let inputs = vec![0.0, 1.0, -2.5, 3.0, value, 0.0];
            let error = Samples::new(inputs, vec![0, 0, 1], 2).unwrap_err();
            assert!(matches!(
                error,
                Error::InputNotFinite {
                    sample: 2,
                    place: 0,
                    ..
                }
            ));
            assert!(error.to_string().contains("sample 2"), "{error}");
        }
    }

    #[test]
    fn samples_of_either_type_split_with_their_labels_or_without() {
        let values: Vec<f32> = (0..6_u8).map(|value| f32::from(value) - 2.5).collect();
        let (first, last) = Samples::unlabelled(values.clone(), 2)
            .unwrap()
            .split_last(1);
        assert_eq!((first.len(), last.len(), first.labels()), (2, 1, None));
        assert_eq!(last.input(0), Values::F32(&values[4..]));
        let bytes = Samples::new(vec![1_u8, 2, 3], vec![7, 8, 9], 1).unwrap();
        let (first, last) = bytes.split_last(2);
        assert_eq!(first.inputs().bytes(), Some(&[1][..]));
        assert_eq!(last.labels(), Some(&[8, 9][..]));
        assert!(Samples::unlabelled(vec![1_u8, 2, 3], 2).is_err());
        assert!(Samples::new(vec![1_u8, 2, 3], vec![0], 2).is_err());
    }

    #[test]
    fn labels_are_below_the_classes_and_may_be_missing() {
        let labelled = || Samples::new(vec![1_u8, 2], vec![0, 1], 1).unwrap();
        let without = || Samples::unlabelled(vec![1_u8, 2], 1).unwrap();
        assert!(Dataset::new("two", [1, 1, 1], 2, labelled(), labelled()).is_ok());
        assert!(Dataset::new("two", [1, 1, 1], 1, labelled(), labelled()).is_err());
        assert!(Dataset::new("none", [1, 1, 1], 0, without(), without()).is_ok());
    }
}
