//! Huffman tables.

use super::super::DecodeError;
use super::bits::Bits;

/// A table of codes of up to 16 bits.
#[derive(Debug, Clone)]
pub(super) struct HuffmanTable {
    /// Number of codes of each length, from 1.
    counts: [u8; 16],
    /// Symbols in the order of their codes.
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// Splits a table off a segment.
    pub(super) fn split(segment: &mut &[u8]) -> Result<Self, DecodeError> {
        let wrong = || DecodeError::jpeg("a Huffman table has a wrong length");
        let (counts, rest) = segment.split_first_chunk::<16>().ok_or_else(wrong)?;
        let total = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest.split_at_checked(total).ok_or_else(wrong)?;
        let mut code = 0_u32;
        for (length, &count) in (1..).zip(counts) {
            code += u32::from(count);
            if code > 1 << length {
                return Err(DecodeError::jpeg("a Huffman table has too many codes"));
            }
            code <<= 1;
        }
        *segment = rest;
        Ok(Self {
            counts: *counts,
            symbols: symbols.to_vec(),
        })
    }

    pub(super) fn has_symbol_above(&self, most: u8) -> bool {
        self.symbols.iter().any(|&symbol| symbol > most)
    }

    /// Decodes a symbol.
    pub(super) fn decode(&self, bits: &mut Bits) -> Result<u8, DecodeError> {
        let (mut code, mut first, mut place) = (0_usize, 0_usize, 0_usize);
        for &count in &self.counts {
            code |= usize::from(bits.bit()?);
            let count = usize::from(count);
            if code < first + count {
                return Ok(self.symbols[place + code - first]);
            }
            place += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(DecodeError::jpeg("an unknown Huffman code"))
    }
}
