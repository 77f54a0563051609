//! JPEG, read as libjpeg reads it and more strictly.
//!
//! Common decoders fill what is missing with grey and read on after damage. Here a file passes if its scans
//! hold each coefficient of each block to full precision, with codes that an encoder can have written,
//! and end where a marker says so.

mod bits;
mod block;
mod colour;
mod frame;
mod headers;
mod huffman;
mod idct;
mod markers;
mod plane;
mod scan;
mod upsample;

use self::colour::ColourModel;
use self::frame::Frame;
use self::headers::Headers;
use self::markers::{Marker, Markers};
use self::plane::Plane;
use self::scan::Scan;
use self::upsample::Upsampler;
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
        let (mut headers, mut markers) = (Headers::default(), Markers::new(bytes));
        loop {
            let marker = markers.next()?;
            if marker == Marker::SOS {
                break;
            }
            headers.read(marker, &mut markers)?;
        }
        Ok(Self {
            bytes,
            size: headers.frame()?.size,
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

    /// Decodes all scans. Bytes after the end marker are ignored.
    ///
    /// # Errors
    /// If the data are cut off, hold codes that no encoder writes, or do not give each coefficient of
    /// each component to full precision.
    pub(super) fn decode(&self) -> Result<Raster, DecodeError> {
        let (mut headers, mut markers) = (Headers::default(), Markers::new(self.bytes));
        let mut planes: Vec<Plane> = Vec::new();
        loop {
            match markers.next()? {
                Marker::EOI => break,
                Marker::SOS => {
                    let frame = headers.frame()?.clone();
                    if planes.is_empty() {
                        let components = frame.components.iter();
                        planes = components.map(|own| Plane::new(own, &frame)).collect();
                    }
                    let segment = markers.segment()?;
                    let mut scan = Scan::parse(segment, &frame, &headers, &mut planes)?;
                    markers.at = scan.read(self.bytes, markers.at, &mut planes)?;
                }
                marker => headers.read(marker, &mut markers)?,
            }
        }
        let frame = headers.frame()?;
        for (index, plane) in planes.iter_mut().enumerate() {
            plane.finish(headers.steps_of(frame, index)?)?;
        }
        Ok(self.raster(frame, &planes))
    }

    /// Enlarges the components and converts their colors.
    fn raster(&self, frame: &Frame, planes: &[Plane]) -> Raster {
        let mut pixels = Vec::with_capacity(self.size.area());
        for row in 0..self.size.height {
            let components = frame.components.iter().zip(planes);
            let rows = components.map(|(own, plane)| {
                let upsampler = Upsampler {
                    across: frame.most_across() / own.across,
                    down: frame.most_down() / own.down,
                };
                upsampler.row(plane, row, self.size.width)
            });
            let rows: Vec<Vec<u8>> = rows.collect();
            for column in 0..self.size.width {
                let mut samples = [0; 4];
                for (sample, row) in samples.iter_mut().zip(&rows) {
                    *sample = row[column];
                }
                let [red, green, blue] = self.model.rgb(samples);
                pixels.push([red, green, blue, u8::MAX]);
            }
        }
        Raster {
            size: self.size,
            pixels,
            highest: None,
        }
    }
}
