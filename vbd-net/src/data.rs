//! A labelled set of images, as bytes.

use crate::error::{Error, Result};

/// Images of one shape with their labels, split into training and test samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Name, as reports show it.
    pub name: String,
    /// `[channels, height, width]` of one image.
    pub shape: [usize; 3],
    /// Number of classes; every label is below it.
    pub classes: usize,
    /// What is trained on.
    pub train: Samples,
    /// What is only measured on.
    pub test: Samples,
}

impl Dataset {
    /// Puts a data set together.
    ///
    /// # Errors
    /// [`Error::Data`] if an image's length is not the shape's, or a label is not below `classes`.
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
                return Err(problem("an image's length", samples.sample_len, expected));
            }
            let largest = samples
                .labels
                .iter()
                .max()
                .map_or(0, |&label| usize::from(label));
            if largest >= classes {
                return Err(problem("a label", largest, format!("less than {classes}")));
            }
        }
        Ok(Self {
            name,
            shape,
            classes,
            train,
            test,
        })
    }
}

/// Images, row-major one after another, and a label for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    images: Vec<u8>,
    labels: Vec<u8>,
    sample_len: usize,
}

impl Samples {
    /// Takes `images` (`[len, sample_len]`) and `labels` (`[len]`).
    ///
    /// # Errors
    /// [`Error::Data`] if the lengths do not agree.
    pub fn new(images: Vec<u8>, labels: Vec<u8>, sample_len: usize) -> Result<Self> {
        if labels.len().checked_mul(sample_len) != Some(images.len()) {
            return Err(Error::Data {
                name: "samples".to_owned(),
                field: "the number of pixels",
                found: images.len().to_string(),
                expected: format!("{} labels times {sample_len}", labels.len()),
            });
        }
        Ok(Self {
            images,
            labels,
            sample_len,
        })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image.
    pub fn sample_len(&self) -> usize {
        self.sample_len
    }

    /// The pixels of one image.
    ///
    /// # Panics
    /// If `index` is not below [`Samples::len`].
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * self.sample_len..][..self.sample_len]
    }

    /// All pixels, `[len, sample_len]`.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, `[len]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The first `len - held_out` samples, and the last `held_out`.
    ///
    /// # Panics
    /// If there are fewer than `held_out` samples.
    pub fn split_last(&self, held_out: usize) -> (Self, Self) {
        let (first, last) = self.labels.split_at(self.len() - held_out);
        let (first_images, last_images) = self.images.split_at(first.len() * self.sample_len);
        let part = |images: &[u8], labels: &[u8]| Self {
            images: images.to_vec(),
            labels: labels.to_vec(),
            sample_len: self.sample_len,
        };
        (part(first_images, first), part(last_images, last))
    }
}
