//! Decoded pixels.

use std::fmt;

use image::metadata::Orientation;
use image::{DynamicImage, RgbaImage};

/// Colors multiplied by alpha that differ by this are the same.
const SAME: u32 = 2;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

impl Size {
    /// Returns the number of pixels.
    pub fn area(self) -> usize {
        self.width.saturating_mul(self.height)
    }

    /// Returns the size after the orientation is applied.
    pub(super) fn oriented(self, orientation: Orientation) -> Self {
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
pub struct Raster {
    /// Width and height.
    pub size: Size,
    /// Row by row.
    pub pixels: Vec<[u8; 4]>,
    /// Highest color value of a visible pixel of a 16-bit image.
    pub highest: Option<u16>,
}

impl Raster {
    /// Returns whether each pixel is opaque.
    pub fn is_opaque(&self) -> bool {
        self.pixels.iter().all(|pixel| pixel[3] == u8::MAX)
    }

    /// Returns whether all pixels that are not wholly transparent have one color, as far as their
    /// alpha tells: programs that keep colors multiplied by alpha lose digits of faint ones.
    pub fn has_one_colour(&self) -> bool {
        let strongest = self.pixels.iter().max_by_key(|pixel| pixel[3]);
        let Some(&strongest) = strongest else {
            return true;
        };
        self.pixels.iter().all(|pixel| {
            let mut channels = pixel[..3].iter().zip(strongest);
            channels.all(|(&one, other)| {
                u32::from(one.abs_diff(other)) * u32::from(pixel[3]) <= SAME * u32::from(u8::MAX)
            })
        })
    }

    /// Turns and flips the pixels.
    pub(super) fn oriented(self, orientation: Orientation) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(pixels: Vec<[u8; 4]>) -> Raster {
        let (width, height) = (pixels.len(), 1);
        Raster {
            size: Size { width, height },
            pixels,
            highest: None,
        }
    }

    #[test]
    fn faint_pixels_may_differ_in_color() {
        let ink = [30, 60, 200, 255];
        assert!(raster(vec![ink, [0, 85, 255, 3], [9, 9, 9, 0]]).has_one_colour());
        assert!(!raster(vec![ink, [0, 85, 255, 100]]).has_one_colour());
        assert!(raster(vec![[9, 9, 9, 0], [1, 2, 3, 0]]).has_one_colour());
    }

    #[test]
    fn a_quarter_turn_swaps_the_sides() {
        let turned = raster(vec![[1; 4], [2; 4]]).oriented(Orientation::Rotate90FlipH);
        assert_eq!((turned.size.width, turned.size.height), (1, 2));
        assert_eq!(turned.pixels, [[1; 4], [2; 4]]);
    }
}
