//! Shape of one sample between two layers.

/// Maximum number of values per sample between two layers.
pub const MAX_ACTIVATION: usize = 1 << 24;
/// Maximum number of entries of one weight.
pub const MAX_TENSOR: usize = 1 << 28;

/// Shape of one sample between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A vector.
    Features(usize),
    /// An image, channels first.
    Image {
        /// Number of channels.
        channels: usize,
        /// Number of rows.
        height: usize,
        /// Number of columns.
        width: usize,
    },
}

impl Shape {
    /// Returns the number of values.
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

    /// Returns whether there are no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns the number of features, or of channels of an image.
    pub fn units(self) -> usize {
        match self {
            Self::Features(units) => units,
            Self::Image { channels, .. } => channels,
        }
    }

    /// Returns the number of values per unit: 1, or the positions of a channel.
    pub fn area(self) -> usize {
        match self {
            Self::Features(_) => 1,
            Self::Image { height, width, .. } => height * width,
        }
    }

    /// Returns the same shape with another number of units.
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

    /// Returns the dimensions, slowest first.
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

/// Returns channels, height and width of an image, or an error.
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

/// Returns an image of these sizes, if it is not too large.
pub(crate) fn image_of(channels: usize, height: usize, width: usize) -> Result<Shape, String> {
    checked_len(&[channels, height, width], MAX_ACTIVATION)?;
    Ok(Shape::Image {
        channels,
        height,
        width,
    })
}

/// Returns the product of `dims`, if none is 0 and it does not exceed `most`.
pub(crate) fn checked_len(dims: &[usize], most: usize) -> Result<usize, String> {
    if dims.contains(&0) {
        return Err(format!("dimensions must be positive, got {dims:?}"));
    }
    dims.iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
        .filter(|&product| product <= most)
        .ok_or_else(|| format!("{dims:?} exceeds the limit of {most} values"))
}
