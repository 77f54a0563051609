//! The codes of a scan.

use super::super::DecodeError;
use super::bits::Bits;
use super::block::{Band, BlockReader};
use super::frame::Frame;
use super::headers::Headers;
use super::markers::Markers;
use super::plane::Plane;

/// A component in a scan.
#[derive(Debug)]
struct ScanComponent {
    index: usize,
    dc: usize,
    ac: usize,
    previous: i32,
}

/// A scan and all that its blocks need.
pub(super) struct Scan<'a> {
    frame: &'a Frame,
    headers: &'a Headers,
    components: Vec<ScanComponent>,
    band: Band,
    run: u32,
}

impl<'a> Scan<'a> {
    /// Parses a scan header and notes which coefficients it gives.
    pub(super) fn parse(
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
    pub(super) fn read(
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
                let stride = planes[self.components[place].index].blocks_across;
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
        let mut reader = BlockReader {
            bits,
            dc: headers.dc.get(component.dc).and_then(Option::as_ref),
            ac: headers.ac.get(component.ac).and_then(Option::as_ref),
        };
        if !self.frame.is_progressive {
            let mut values = [0; 64];
            reader.sequential(&mut values, &mut component.previous)?;
            let steps = headers.steps_of(self.frame, component.index)?;
            return planes[component.index].put(block, &values, steps);
        }
        let block = &mut planes[component.index].blocks[block];
        match (self.band.first, self.band.refined) {
            (0, None) => reader.dc_first(block, &mut component.previous, self.band.low),
            (0, Some(_)) => reader.dc_refine(block, self.band.low),
            (_, None) => reader.ac_first(self.band, block, &mut self.run),
            (_, Some(_)) => reader.ac_refine(self.band, block, &mut self.run),
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
