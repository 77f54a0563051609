//! What one sample is between two layers.

/// Largest number of values of one sample between two layers.
pub const MAX_ACTIVATION: usize = 1 << 24;
/// Largest number of entries of one weight.
pub const MAX_TENSOR: usize = 1 << 28;

/// The shape of one sample between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A vector.
    Features(usize),
    /// Channels first.
    Image {
        /// Number of channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

impl Shape {
    /// Number of values.
    pub fn len(self) -> usize {
        match self {
            Self::Features(features) => features,
            Self::Image {
                channels,
                height,
                width,
            } => channels * height * width,
        }
    }

    /// Whether there is no value at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Features, or channels of an image.
    pub fn units(self) -> usize {
        match self {
            Self::Features(units) => units,
            Self::Image { channels, .. } => channels,
        }
    }

    /// Values of a unit: 1, or the positions of a channel.
    pub fn area(self) -> usize {
        match self {
            Self::Features(_) => 1,
            Self::Image { height, width, .. } => height * width,
        }
    }

    /// The same of another number of units.
    #[must_use]
    pub fn with_units(self, units: usize) -> Self {
        match self {
            Self::Features(_) => Self::Features(units),
            Self::Image { height, width, .. } => Self::Image {
                channels: units,
                height,
                width,
            },
        }
    }

    /// Sizes, slowest first.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Self::Features(features) => vec![features],
            Self::Image {
                channels,
                height,
                width,
            } => vec![channels, height, width],
        }
    }
}

/// Channels, height and width of what must be an image.
pub(crate) fn image(input: Shape) -> Result<(usize, usize, usize), String> {
    match input {
        Shape::Image {
            channels,
            height,
            width,
        } => Ok((channels, height, width)),
        Shape::Features(features) => {
            Err(format!("input must be an image, got {features} features"))
        }
    }
}

/// An image of these sizes, if it is not too large.
pub(crate) fn image_of(channels: usize, height: usize, width: usize) -> Result<Shape, String> {
    checked_len(&[channels, height, width], MAX_ACTIVATION)?;
    Ok(Shape::Image {
        channels,
        height,
        width,
    })
}

/// The product of `dims`, if none is 0 and it does not pass `most`.
pub(crate) fn checked_len(dims: &[usize], most: usize) -> Result<usize, String> {
    if dims.contains(&0) {
        return Err(format!("dimensions must be positive, got {dims:?}"));
    }
    dims.iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
        .filter(|&product| product <= most)
        .ok_or_else(|| format!("{dims:?} exceeds the limit of {most} values"))
}
