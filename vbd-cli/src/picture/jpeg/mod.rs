//! JPEG: every bit of the entropy-coded data is checked here, the pixels come from zune-jpeg.
//!
//! A decoder fills what is missing with grey and reads on after damage. libjpeg warns about some of
//! it, browsers about nothing. So [`scan`] decodes all codes first: a file passes if its scans hold
//! each coefficient of each block, to full precision, and end where a marker says so.

mod bits;
mod block;
mod frame;
mod huffman;
mod markers;
mod scan;

use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use self::frame::ColourModel;
use self::markers::{Marker, Markers};
use super::{DecodeError, Raster, Size};

/// A JPEG file whose headers are parsed up to the first scan.
#[derive(Debug)]
pub(super) struct Jpeg<'a> {
    bytes: &'a [u8],
    size: Size,
    model: ColourModel,
    exif: Vec<u8>,
}

impl<'a> Jpeg<'a> {
    /// Parses the headers.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut headers = scan::Headers::default();
        let mut markers = Markers::new(bytes);
        loop {
            let marker = markers.next()?;
            if marker == Marker::SOS {
                break;
            }
            headers.read(marker, &mut markers)?;
        }
        let frame = headers.frame()?;
        Ok(Self {
            bytes,
            size: frame.size,
            model: headers.model()?,
            exif: headers.exif,
        })
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn exif(&self) -> &[u8] {
        &self.exif
    }

    /// Checks all scans and decodes the pixels.
    pub(super) fn decode(&self) -> Result<Raster, DecodeError> {
        let end = scan::check(self.bytes)?;
        let (colours, channels) = match self.model {
            ColourModel::Grey => (ColorSpace::Luma, 1),
            _ => (ColorSpace::RGB, 3),
        };
        let options = DecoderOptions::default()
            .jpeg_set_out_colorspace(colours)
            .set_strict_mode(true)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX);
        // What follows the image is not the decoder's to read.
        let cursor = ZCursor::new(&self.bytes[..end]);
        let mut decoder = zune_jpeg::JpegDecoder::new_with_options(cursor, options);
        let damaged = |error: zune_jpeg::errors::DecodeErrors| DecodeError::jpeg(error.to_string());
        let samples = decoder.decode().map_err(damaged)?;
        if decoder.input_colorspace() != Some(self.model.as_zune()) {
            return Err(DecodeError::jpeg("its color model is ambiguous"));
        }
        if samples.len() != self.size.area() * channels {
            return Err(DecodeError::jpeg("not as many pixels as it declares"));
        }
        let pixels = samples.chunks_exact(channels).map(|pixel| match *pixel {
            [red, green, blue] => [red, green, blue, u8::MAX],
            _ => [pixel[0], pixel[0], pixel[0], u8::MAX],
        });
        Ok(Raster {
            size: self.size,
            pixels: pixels.collect(),
            highest: None,
        })
    }
}
