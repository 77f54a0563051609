//! Markers and their segments.

use super::super::DecodeError;

/// Code of a marker, the byte after 0xff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker(pub(super) u8);

impl Marker {
    pub(super) const DHT: Self = Self(0xc4);
    pub(super) const EOI: Self = Self(0xd9);
    pub(super) const SOS: Self = Self(0xda);
    pub(super) const DQT: Self = Self(0xdb);
    pub(super) const DRI: Self = Self(0xdd);
    pub(super) const APP0: Self = Self(0xe0);
    pub(super) const APP1: Self = Self(0xe1);
    pub(super) const APP14: Self = Self(0xee);
}

/// A cursor over the markers of a file.
#[derive(Debug)]
pub(super) struct Markers<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Markers<'a> {
    /// Starts after the marker of the start.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }

    /// Reads the next marker. Fill bytes may precede it, nothing else.
    pub(super) fn next(&mut self) -> Result<Marker, DecodeError> {
        let cut = || DecodeError::JpegCut("no end marker");
        let mut byte = *self.bytes.get(self.at).ok_or_else(cut)?;
        if byte != 0xff {
            return Err(DecodeError::jpeg("bytes between two markers"));
        }
        while byte == 0xff {
            self.at += 1;
            byte = *self.bytes.get(self.at).ok_or_else(cut)?;
        }
        self.at += 1;
        Ok(Marker(byte))
    }

    /// Reads the segment of the marker just read.
    pub(super) fn segment(&mut self) -> Result<&'a [u8], DecodeError> {
        let cut = || DecodeError::JpegCut("a segment ends after the file");
        let len = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk);
        let len = usize::from(u16::from_be_bytes(*len.ok_or_else(cut)?));
        if len < 2 {
            return Err(DecodeError::jpeg("a segment is shorter than its length"));
        }
        let end = self.at + len;
        let segment = self.bytes.get(self.at + 2..end).ok_or_else(cut)?;
        self.at = end;
        Ok(segment)
    }
}
