//! Tables and headers of a file.

use super::super::{DecodeError, orientation};
use super::colour::ColourModel;
use super::frame::Frame;
use super::huffman::HuffmanTable;
use super::markers::{Marker, Markers};

/// Tables and headers read so far.
#[derive(Debug, Default)]
pub(super) struct Headers {
    frame: Option<Frame>,
    pub(super) dc: [Option<HuffmanTable>; 4],
    pub(super) ac: [Option<HuffmanTable>; 4],
    steps: [Option<[u16; 64]>; 4],
    pub(super) restart: usize,
    is_jfif: bool,
    adobe: Option<u8>,
    pub(super) exif: Vec<u8>,
}

impl Headers {
    /// Reads the segment of a marker that is neither a scan nor the end.
    pub(super) fn read(
        &mut self,
        marker: Marker,
        markers: &mut Markers,
    ) -> Result<(), DecodeError> {
        let kind = match marker.0 {
            0xc3 | 0xc7 | 0xcb | 0xcf => Some("lossless"),
            0xc5 | 0xc6 | 0xcd | 0xce => Some("hierarchical"),
            0xc9 | 0xca | 0xcc => Some("arithmetically coded"),
            0xdc => Some("of a height that comes later"),
            _ => None,
        };
        if let Some(kind) = kind {
            return Err(DecodeError::JpegKind(kind));
        }
        if !matches!(marker.0, 0xc0..=0xc4 | 0xdb | 0xdd | 0xe0..=0xef | 0xfe) {
            return Err(DecodeError::jpeg(format!(
                "unexpected marker 0x{:02x}",
                marker.0
            )));
        }
        let segment = markers.segment()?;
        match marker {
            Marker(0xc0..=0xc2) => {
                let frame = Frame::parse(segment, marker == Marker(0xc2))?;
                if self.frame.replace(frame).is_some() {
                    return Err(DecodeError::jpeg("two frames"));
                }
            }
            Marker::DHT => self.read_huffman(segment)?,
            Marker::DQT => self.read_steps(segment)?,
            Marker::DRI => {
                let &[high, low] = segment else {
                    return Err(DecodeError::jpeg("restart interval has a wrong length"));
                };
                self.restart = usize::from(u16::from_be_bytes([high, low]));
            }
            Marker::APP0 => {
                self.is_jfif |= segment.starts_with(b"JFIF\0") && segment.len() >= 14;
            }
            Marker::APP1 => {
                if let Some(exif) = segment.strip_prefix(orientation::PREFIX) {
                    self.exif.extend_from_slice(exif);
                }
            }
            Marker::APP14 if segment.starts_with(b"Adobe") => {
                let transform = segment.get(11).copied();
                let short = || DecodeError::jpeg("Adobe segment is too short");
                self.adobe = Some(transform.ok_or_else(short)?);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn frame(&self) -> Result<&Frame, DecodeError> {
        let missing = || DecodeError::jpeg("no frame before the data");
        self.frame.as_ref().ok_or_else(missing)
    }

    /// Returns the meaning of the components.
    pub(super) fn model(&self) -> Result<ColourModel, DecodeError> {
        ColourModel::new(&self.frame()?.components, self.is_jfif, self.adobe)
    }

    /// Returns the quantization of a component.
    pub(super) fn steps_of(
        &self,
        frame: &Frame,
        component: usize,
    ) -> Result<&[u16; 64], DecodeError> {
        let steps = self.steps[frame.components[component].table].as_ref();
        steps.ok_or_else(|| DecodeError::jpeg("missing quantization table"))
    }

    fn read_huffman(&mut self, mut segment: &[u8]) -> Result<(), DecodeError> {
        while let Some((&place, rest)) = segment.split_first() {
            segment = rest;
            let table = HuffmanTable::split(&mut segment)?;
            let tables = match place >> 4 {
                0 if table.has_symbol_above(15) => {
                    return Err(DecodeError::jpeg("a Huffman table has unknown symbols"));
                }
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(DecodeError::jpeg("unknown Huffman table")),
            };
            let own = tables.get_mut(usize::from(place & 15));
            *own.ok_or_else(|| DecodeError::jpeg("unknown Huffman table"))? = Some(table);
        }
        Ok(())
    }

    fn read_steps(&mut self, mut segment: &[u8]) -> Result<(), DecodeError> {
        let wrong = || DecodeError::jpeg("a quantization table has wrong numbers");
        while let Some((&place, rest)) = segment.split_first() {
            let width = usize::from(place >> 4) + 1;
            let (numbers, rest) = rest.split_at_checked(64 * width).ok_or_else(wrong)?;
            let mut steps = [0_u16; 64];
            for (step, number) in steps.iter_mut().zip(numbers.chunks_exact(width)) {
                let bytes = number.iter();
                *step = bytes.fold(0, |sum, &byte| sum << 8 | u16::from(byte));
            }
            let own = self.steps.get_mut(usize::from(place & 15));
            let own = own.ok_or_else(wrong)?;
            if width > 2 || steps.contains(&0) || own.is_some_and(|own| own != steps) {
                return Err(wrong());
            }
            *own = Some(steps);
            segment = rest;
        }
        Ok(())
    }
}
