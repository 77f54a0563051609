//! Checks that the scans of a file are whole.

use super::super::{DecodeError, orientation};
use super::bits::Bits;
use super::block::{Band, BlockReader};
use super::frame::{ColourModel, Frame};
use super::huffman::HuffmanTable;
use super::markers::{Marker, Markers};

/// Tables and headers read so far.
#[derive(Debug, Default)]
pub(super) struct Headers {
    frame: Option<Frame>,
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    steps: [Option<[u16; 64]>; 4],
    restart: usize,
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

    fn read_huffman(&mut self, mut segment: &[u8]) -> Result<(), DecodeError> {
        while let Some((&place, rest)) = segment.split_first() {
            segment = rest;
            let table = HuffmanTable::split(&mut segment)?;
            let tables = match place >> 4 {
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

/// Blocks of a component and what is known of their coefficients.
#[derive(Debug)]
struct Plane {
    /// Blocks in a row, those of incomplete units included.
    stride: usize,
    /// Coefficients of each block that are not 0; of progressive frames alone.
    nonzero: Vec<u64>,
    /// Lowest bit known of each coefficient.
    known: [Option<u8>; 64],
}

/// A component in a scan.
#[derive(Debug)]
struct ScanComponent {
    index: usize,
    dc: usize,
    ac: usize,
    previous: i32,
}

/// Checks all scans. Returns the end of the image.
///
/// # Errors
/// If the data are cut off, hold codes that no encoder writes, or do not give each coefficient of
/// each component to full precision.
pub(super) fn check(bytes: &[u8]) -> Result<usize, DecodeError> {
    let (mut headers, mut markers) = (Headers::default(), Markers::new(bytes));
    let mut planes = Vec::new();
    loop {
        match markers.next()? {
            Marker::EOI => break,
            Marker::SOS => {
                let frame = headers.frame()?.clone();
                if planes.is_empty() {
                    planes = planes_of(&frame);
                }
                let segment = markers.segment()?;
                let mut scan = Scan::parse(segment, &frame, &headers, &mut planes)?;
                markers.at = scan.read(bytes, markers.at, &mut planes)?;
            }
            marker => headers.read(marker, &mut markers)?,
        }
    }
    let is_known = |plane: &Plane| plane.known == [Some(0); 64];
    if planes.is_empty() || !planes.iter().all(is_known) {
        return Err(DecodeError::JpegCut("scans are missing"));
    }
    Ok(markers.at)
}

fn planes_of(frame: &Frame) -> Vec<Plane> {
    let units_across = frame.size.width.div_ceil(8 * frame.most_across());
    let units_down = frame.size.height.div_ceil(8 * frame.most_down());
    let planes = frame.components.iter().map(|component| {
        let stride = units_across * component.across;
        let blocks = stride * units_down * component.down;
        Plane {
            stride,
            nonzero: vec![0; if frame.is_progressive { blocks } else { 0 }],
            known: [None; 64],
        }
    });
    planes.collect()
}

/// A scan and all that its blocks need.
struct Scan<'a> {
    frame: &'a Frame,
    headers: &'a Headers,
    components: Vec<ScanComponent>,
    band: Band,
    run: u32,
}

impl<'a> Scan<'a> {
    /// Parses a scan header and notes which coefficients it gives.
    fn parse(
        segment: &[u8],
        frame: &'a Frame,
        headers: &'a Headers,
        planes: &mut [Plane],
    ) -> Result<Self, DecodeError> {
        let wrong = || DecodeError::jpeg("scan header has wrong numbers");
        let (&count, rest) = segment.split_first().ok_or_else(wrong)?;
        let (parts, rest) = rest
            .split_at_checked(2 * usize::from(count))
            .ok_or_else(wrong)?;
        let &[first, last, precision] = rest else {
            return Err(wrong());
        };
        let (high, low) = (precision >> 4, precision & 15);
        let band = Band {
            first: first.into(),
            last: last.into(),
            refined: (high > 0).then_some(high),
            low,
        };
        let is_valid = if frame.is_progressive {
            let is_next = high == 0 || high == low + 1;
            let is_band = if first == 0 { last == 0 } else { count == 1 };
            is_next && is_band && first <= last && last < 64 && low <= 13
        } else {
            (first, last, precision) == (0, 63, 0)
        };
        let mut components: Vec<ScanComponent> = Vec::new();
        for part in parts.chunks_exact(2) {
            let index = frame.components.iter().position(|own| own.id == part[0]);
            let (dc, ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            // In the frame's order, each once.
            let index = index.filter(|&index| components.last().is_none_or(|o| o.index < index));
            components.push(ScanComponent {
                index: index.ok_or_else(wrong)?,
                dc,
                ac,
                previous: 0,
            });
        }
        if !is_valid || components.is_empty() {
            return Err(wrong());
        }
        for component in &components {
            for known in &mut planes[component.index].known[band.first..=band.last] {
                if *known != band.refined {
                    return Err(DecodeError::jpeg("a scan is missing or comes twice"));
                }
                *known = Some(low);
            }
        }
        Ok(Self {
            frame,
            headers,
            components,
            band,
            run: 0,
        })
    }

    /// Decodes the codes from byte `at`. Returns the place of the marker after them.
    fn read(
        &mut self,
        bytes: &[u8],
        at: usize,
        planes: &mut [Plane],
    ) -> Result<usize, DecodeError> {
        let mut bits = Bits::new(bytes, at);
        let (across, down) = (self.frame.most_across(), self.frame.most_down());
        let size = self.frame.size;
        let alone = match &self.components[..] {
            [component] => Some(&self.frame.components[component.index]),
            _ => None,
        };
        // A unit of one component is a block within the picture.
        let (columns, rows) = match alone {
            Some(own) => (
                (size.width * own.across).div_ceil(across * 8),
                (size.height * own.down).div_ceil(down * 8),
            ),
            None => (
                size.width.div_ceil(across * 8),
                size.height.div_ceil(down * 8),
            ),
        };
        let is_alone = alone.is_some();
        for unit in 0..columns * rows {
            if self.headers.restart > 0 && unit > 0 && unit % self.headers.restart == 0 {
                self.restart(&mut bits, bytes, unit / self.headers.restart - 1)?;
            }
            let (row, column) = (unit / columns, unit % columns);
            for place in 0..self.components.len() {
                let own = &self.frame.components[self.components[place].index];
                let (across, down) = if is_alone {
                    (1, 1)
                } else {
                    (own.across, own.down)
                };
                let stride = planes[self.components[place].index].stride;
                for block in 0..across * down {
                    let (y, x) = (
                        row * down + block / across,
                        column * across + block % across,
                    );
                    self.block(&mut bits, place, y * stride + x, planes)?;
                }
            }
        }
        self.end(&mut bits)?;
        Ok(bits.at)
    }

    fn block(
        &mut self,
        bits: &mut Bits,
        place: usize,
        block: usize,
        planes: &mut [Plane],
    ) -> Result<(), DecodeError> {
        let component = &mut self.components[place];
        let headers = self.headers;
        let steps = &headers.steps[self.frame.components[component.index].table];
        let steps = steps
            .as_ref()
            .ok_or_else(|| DecodeError::jpeg("missing quantization table"))?;
        let mut reader = BlockReader {
            bits,
            dc: headers.dc.get(component.dc).and_then(Option::as_ref),
            ac: headers.ac.get(component.ac).and_then(Option::as_ref),
            steps,
        };
        if !self.frame.is_progressive {
            return reader.sequential(&mut component.previous);
        }
        let nonzero = &mut planes[component.index].nonzero[block];
        match (self.band.first, self.band.refined) {
            (0, None) => reader.dc_first(&mut component.previous, self.band.low),
            (0, Some(_)) => reader.bits.bit().map(drop),
            (_, None) => reader.ac_first(self.band, nonzero, &mut self.run),
            (_, Some(_)) => reader.ac_refine(self.band, nonzero, &mut self.run),
        }
    }

    /// Checks that nothing is left over.
    fn end(&self, bits: &mut Bits) -> Result<(), DecodeError> {
        bits.align();
        if self.run > 0 {
            return Err(DecodeError::jpeg("a run of blocks exceeds its scan"));
        }
        Ok(())
    }

    fn restart(&mut self, bits: &mut Bits, bytes: &[u8], count: usize) -> Result<(), DecodeError> {
        self.end(bits)?;
        let mut markers = Markers { bytes, at: bits.at };
        if usize::from(markers.next()?.0) != 0xd0 + count % 8 {
            return Err(DecodeError::jpeg("a restart marker is missing"));
        }
        bits.at = markers.at;
        for component in &mut self.components {
            component.previous = 0;
        }
        Ok(())
    }
}
