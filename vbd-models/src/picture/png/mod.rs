//! PNG: the chunks are walked strictly, the rows are inflated by the `png` crate.

mod chunks;
mod samples;

use std::io::Cursor;

use ::png::{DecodeOptions, Decoder, Limits, Transformations};

use self::chunks::Chunks;
use self::samples::{Colour, Samples};
use super::{DecodeError, Raster, Size};

/// First bytes of a file.
pub(super) const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Memory for rows: 2^26 pixels of four 16-bit samples, and some.
const MEMORY: usize = 1 << 30;

/// A PNG file with whole chunks.
#[derive(Debug)]
pub(super) struct Png<'a> {
    chunks: Chunks<'a>,
    size: Size,
    samples: Samples,
}

impl<'a> Png<'a> {
    /// Walks the chunks and parses those that determine colors.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let chunks = Chunks::walk(bytes)?;
        let side = |at: usize| {
            let bytes = chunks.header.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes) as usize)
        };
        let (Some(width), Some(height), &[depth, colour, compression, filter, interlace]) =
            (side(0), side(4), chunks.header.get(8..).unwrap_or_default())
        else {
            return Err(DecodeError::png("`IHDR` has a wrong length"));
        };
        if width == 0 || height == 0 {
            return Err(DecodeError::png("width or height is 0"));
        }
        if compression != 0 || filter != 0 || interlace > 1 {
            return Err(DecodeError::png("`IHDR` has an unknown method"));
        }
        let samples = Samples::new(depth, Colour::new(colour)?, &chunks)?;
        Ok(Self {
            chunks,
            size: Size { width, height },
            samples,
        })
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn exif(&self) -> &'a [u8] {
        self.chunks.exif.unwrap_or_default()
    }

    /// Decodes the default image. The decoder sees the critical chunks alone.
    pub(super) fn decode(&self) -> Result<Raster, DecodeError> {
        let bytes = self.chunks.critical();
        let mut options = DecodeOptions::default();
        options.set_ignore_adler32(false);
        let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
        decoder.set_limits(Limits { bytes: MEMORY });
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(|error| damaged(&error))?;
        let len = reader.output_buffer_size();
        let len = len.ok_or_else(|| DecodeError::png("too large"))?;
        // Seven passes at most, each with a filter byte a row.
        let most = len as u64 + 8 * (self.size.height as u64 + self.size.width as u64);
        self.chunks.check_data(most)?;
        let mut rows = vec![0; len];
        reader
            .next_frame(&mut rows)
            .map_err(|error| damaged(&error))?;
        reader.finish().map_err(|error| damaged(&error))?;
        let mut raster = Raster {
            size: self.size,
            pixels: Vec::with_capacity(self.size.area()),
            highest: self.samples.is_deep().then_some(0),
        };
        for row in rows.chunks_exact(len / self.size.height) {
            self.samples.expand(row, &mut raster)?;
        }
        Ok(raster)
    }
}

fn damaged(error: &::png::DecodingError) -> DecodeError {
    DecodeError::png(error.to_string())
}
