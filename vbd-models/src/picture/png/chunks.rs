//! The chunks of a PNG file.

use std::io::{self, Read as _};

use flate2::bufread::ZlibDecoder;

use super::super::DecodeError;
use super::SIGNATURE;

/// Contents of the chunks that matter, each with a right checksum and in the right order.
#[derive(Debug, Default)]
pub(super) struct Chunks<'a> {
    pub(super) header: &'a [u8],
    pub(super) palette: Option<&'a [u8]>,
    pub(super) transparency: Option<&'a [u8]>,
    pub(super) exif: Option<&'a [u8]>,
    /// Whole critical chunks, with lengths and checksums.
    critical: Vec<&'a [u8]>,
}

/// A chunk of a file.
struct Chunk<'a> {
    kind: [u8; 4],
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Chunks<'a> {
    /// Walks all chunks up to `IEND`. Bytes after it are ignored.
    ///
    /// # Errors
    /// If a chunk is cut off, has a wrong checksum, or is out of order.
    pub(super) fn walk(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = &bytes[SIGNATURE.len()..];
        let mut chunks = Self::default();
        let mut last = *b"    ";
        loop {
            let chunk = Chunk::split(&mut rest)?;
            let has_data = chunks.critical.len() > usize::from(chunks.palette.is_some()) + 1;
            let is_misplaced = match &chunk.kind {
                b"IHDR" => !chunks.critical.is_empty(),
                _ if chunks.critical.is_empty() => true,
                b"PLTE" => has_data || chunks.transparency.is_some() || chunks.palette.is_some(),
                b"tRNS" => has_data || chunks.transparency.is_some(),
                b"IDAT" => has_data && last != *b"IDAT",
                b"eXIf" => chunks.exif.is_some(),
                b"IEND" => !has_data,
                // Uppercase: critical.
                [first, ..] => first.is_ascii_uppercase(),
            };
            if is_misplaced {
                let name = chunk.name();
                return Err(DecodeError::png(format!("chunk `{name}` is out of place")));
            }
            match &chunk.kind {
                b"IHDR" => chunks.header = chunk.content,
                b"PLTE" => chunks.palette = Some(chunk.content),
                b"tRNS" => chunks.transparency = Some(chunk.content),
                b"eXIf" => chunks.exif = Some(chunk.content),
                _ => {}
            }
            if chunk.kind[0].is_ascii_uppercase() {
                chunks.critical.push(chunk.whole);
            }
            if chunk.kind == *b"IEND" {
                return Ok(chunks);
            }
            last = chunk.kind;
        }
    }

    /// Checks that the data are one whole zlib stream with a right checksum.
    ///
    /// # Errors
    /// If it is damaged, ends early, or inflates to more than `limit` bytes.
    pub(super) fn check_data(&self, limit: u64) -> Result<(), DecodeError> {
        let data = self.critical.iter().filter(|chunk| &chunk[4..8] == b"IDAT");
        let data: Vec<u8> = data
            .flat_map(|chunk| &chunk[8..chunk.len() - 4])
            .copied()
            .collect();
        let mut stream = ZlibDecoder::new(&data[..]).take(limit + 1);
        match io::copy(&mut stream, &mut io::sink()) {
            Ok(len) if len <= limit => Ok(()),
            Ok(_) => Err(DecodeError::png("more data than pixels")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(DecodeError::PngCut("its data end early"))
            }
            Err(error) => Err(DecodeError::png(error.to_string())),
        }
    }

    /// Returns a file of the critical chunks.
    pub(super) fn critical(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        for chunk in &self.critical {
            bytes.extend_from_slice(chunk);
        }
        bytes
    }
}

impl<'a> Chunk<'a> {
    /// Splits the first chunk off.
    fn split(rest: &mut &'a [u8]) -> Result<Self, DecodeError> {
        let cut = || DecodeError::PngCut("no `IEND` chunk");
        let number = |at: usize| {
            let bytes = rest.get(at..at.checked_add(4)?)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        let len = number(0).ok_or_else(cut)? as usize;
        let kind = number(4).ok_or_else(cut)?.to_be_bytes();
        let end = len.checked_add(8).ok_or_else(cut)?;
        let stored = number(end).ok_or_else(cut)?;
        let (whole, after) = rest.split_at(end + 4);
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(DecodeError::png("bytes between two chunks"));
        }
        let chunk = Self {
            kind,
            content: &whole[8..end],
            whole,
        };
        if crc32fast::hash(&whole[4..end]) != stored {
            let name = chunk.name();
            return Err(DecodeError::png(format!(
                "chunk `{name}` has a wrong checksum"
            )));
        }
        *rest = after;
        Ok(chunk)
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(&self.kind).into_owned()
    }
}
