//! A file whose headers are parsed and whose pixels are not decoded yet.

use image::metadata::Orientation;

use super::jpeg::Jpeg;
use super::orientation::orientation;
use super::png::Png;
use super::{DecodeError, Raster, Size, png};

/// Largest number of pixels that are decoded.
const LIMIT: usize = 1 << 26;

/// An encoded picture.
#[derive(Debug)]
pub struct Encoded<'a> {
    format: Format<'a>,
    orientation: Orientation,
}

#[derive(Debug)]
enum Format<'a> {
    Png(Png<'a>),
    Jpeg(Jpeg<'a>),
}

impl<'a> Encoded<'a> {
    /// Parses the headers. Allocates no pixels.
    ///
    /// # Errors
    /// If the file is no PNG or JPEG, is damaged as far as that shows without decoding, or declares
    /// too many pixels.
    pub fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (format, orientation) = if bytes.starts_with(&png::SIGNATURE) {
            let png = Png::open(bytes)?;
            let orientation = orientation(png.exif())?;
            (Format::Png(png), orientation)
        } else if bytes.starts_with(&[0xff, 0xd8]) {
            let jpeg = Jpeg::open(bytes)?;
            let orientation = orientation(jpeg.exif())?;
            (Format::Jpeg(jpeg), orientation)
        } else if bytes.is_empty() {
            return Err(DecodeError::Empty);
        } else {
            return Err(DecodeError::UnknownFormat);
        };
        let encoded = Self {
            format,
            orientation,
        };
        let size = encoded.size();
        if size.area() > LIMIT {
            return Err(DecodeError::TooManyPixels { size, limit: LIMIT });
        }
        Ok(encoded)
    }

    /// Returns the size as shown: after the orientation is applied.
    pub fn size(&self) -> Size {
        let stored = match &self.format {
            Format::Png(png) => png.size(),
            Format::Jpeg(jpeg) => jpeg.size(),
        };
        stored.oriented(self.orientation)
    }

    /// Decodes the pixels and applies the orientation.
    ///
    /// # Errors
    /// If the file is damaged or incomplete.
    pub fn decode(&self) -> Result<Raster, DecodeError> {
        let stored = match &self.format {
            Format::Png(png) => png.decode()?,
            Format::Jpeg(jpeg) => jpeg.decode()?,
        };
        Ok(stored.oriented(self.orientation))
    }
}
