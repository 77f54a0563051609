//! Decoded pixels.

use std::fmt;

use image::metadata::Orientation;
use image::{DynamicImage, RgbaImage};

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Size {
    pub(crate) fn area(self) -> usize {
        self.width.saturating_mul(self.height)
    }

    /// Returns the size after the orientation is applied.
    pub(crate) fn oriented(self, orientation: Orientation) -> Self {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        match orientation {
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => Self {
                width: self.height,
                height: self.width,
            },
            _ => self,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} x {}", self.width, self.height)
    }
}

/// Decoded pixels: red, green, blue, alpha.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raster {
    pub(crate) size: Size,
    /// Row by row.
    pub(crate) pixels: Vec<[u8; 4]>,
    /// Highest color value of a visible pixel of a 16-bit image.
    pub(crate) highest: Option<u16>,
}

impl Raster {
    /// Returns whether each pixel is opaque.
    pub(crate) fn is_opaque(&self) -> bool {
        self.pixels.iter().all(|pixel| pixel[3] == u8::MAX)
    }

    /// Returns whether all pixels that are not wholly transparent have one color.
    pub(crate) fn has_one_colour(&self) -> bool {
        let mut visible = self.pixels.iter().filter(|pixel| pixel[3] > 0);
        let Some(first) = visible.next() else {
            return true;
        };
        visible.all(|pixel| pixel[..3] == first[..3])
    }

    /// Turns and flips the pixels.
    pub(crate) fn oriented(self, orientation: Orientation) -> Self {
        let bytes = self.pixels.as_flattened().to_vec();
        let side = |side: usize| u32::try_from(side).ok();
        let sides = side(self.size.width).zip(side(self.size.height));
        let image = sides.and_then(|(width, height)| RgbaImage::from_raw(width, height, bytes));
        let mut image =
            DynamicImage::ImageRgba8(image.expect("a raster has as many pixels as its size"));
        image.apply_orientation(orientation);
        let (pixels, _) = image.as_bytes().as_chunks::<4>();
        Self {
            size: self.size.oriented(orientation),
            pixels: pixels.to_vec(),
            highest: self.highest,
        }
    }
}
