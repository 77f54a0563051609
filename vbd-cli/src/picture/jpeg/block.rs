//! The codes of one block.

use super::super::DecodeError;
use super::bits::Bits;
use super::huffman::HuffmanTable;

/// Largest magnitude of a coefficient, dequantized, before its rounding. A block of 8 x 8 samples has
/// none above 1024; encoders that sharpen edges exceed it.
const LARGEST: i32 = 2048;

/// Coefficients and bits of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Band {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Lowest bit before this scan; `None` in the first scan of the coefficients.
    pub(super) refined: Option<u8>,
    /// Lowest bit of this scan.
    pub(super) low: u8,
}

/// Tables and bits of a block's component.
pub(super) struct BlockReader<'a, 'b> {
    pub(super) bits: &'a mut Bits<'b>,
    pub(super) dc: Option<&'a HuffmanTable>,
    pub(super) ac: Option<&'a HuffmanTable>,
    /// Quantization, in zigzag order.
    pub(super) steps: &'a [u16; 64],
}

impl BlockReader<'_, '_> {
    /// Decodes a block of a sequential scan.
    pub(super) fn sequential(&mut self, previous: &mut i32) -> Result<(), DecodeError> {
        self.dc_first(previous, 0)?;
        let mut place = 1;
        while place < 64 {
            let code = ac_code(self.ac, self.bits)?;
            match (code.zeros, code.bits) {
                (0, 0) => return Ok(()),
                (15, 0) => place += 16,
                (_, 0) => return Err(DecodeError::jpeg("an unknown run of zeros")),
                (zeros, bits) => {
                    place += zeros;
                    self.value(place, bits, 0)?;
                    place += 1;
                }
            }
        }
        if place > 64 {
            return Err(overlong());
        }
        Ok(())
    }

    /// Decodes the first coefficient.
    pub(super) fn dc_first(&mut self, previous: &mut i32, low: u8) -> Result<(), DecodeError> {
        let bits = self.dc.ok_or_else(no_table)?.decode(self.bits)?;
        if bits > 11 {
            return Err(DecodeError::jpeg("a coefficient is out of range"));
        }
        *previous += self.bits.signed(bits)?;
        self.check(0, *previous << low)
    }

    /// Decodes a band of a first scan. `nonzero` marks the coefficients that are not 0.
    pub(super) fn ac_first(
        &mut self,
        band: Band,
        nonzero: &mut u64,
        run: &mut u32,
    ) -> Result<(), DecodeError> {
        if *run > 0 {
            *run -= 1;
            return Ok(());
        }
        let mut place = band.first;
        while place <= band.last {
            let code = ac_code(self.ac, self.bits)?;
            match (code.zeros, code.bits) {
                (15, 0) => place += 16,
                (zeros, 0) => {
                    *run = end_run(zeros, self.bits)? - 1;
                    return Ok(());
                }
                (zeros, bits) => {
                    place += zeros;
                    if place > band.last {
                        return Err(overlong());
                    }
                    self.value(place, bits, band.low)?;
                    *nonzero |= 1 << place;
                    place += 1;
                }
            }
        }
        if place > band.last + 1 {
            return Err(overlong());
        }
        Ok(())
    }

    /// Decodes a band of a scan that adds a bit.
    pub(super) fn ac_refine(
        &mut self,
        band: Band,
        nonzero: &mut u64,
        run: &mut u32,
    ) -> Result<(), DecodeError> {
        let mut place = band.first;
        while *run == 0 && place <= band.last {
            let code = ac_code(self.ac, self.bits)?;
            let mut zeros = code.zeros;
            match code.bits {
                0 if zeros < 15 => {
                    *run = end_run(zeros, self.bits)?;
                    break;
                }
                0 => {}
                1 => {
                    self.bits.bit()?;
                }
                _ => return Err(DecodeError::jpeg("a coefficient is out of range")),
            }
            while place <= band.last {
                if *nonzero >> place & 1 == 1 {
                    self.bits.bit()?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                place += 1;
            }
            if place > band.last {
                return Err(overlong());
            }
            if code.bits == 1 {
                *nonzero |= 1 << place;
            }
            place += 1;
        }
        if *run > 0 {
            for place in place..=band.last {
                if *nonzero >> place & 1 == 1 {
                    self.bits.bit()?;
                }
            }
            *run -= 1;
        }
        Ok(())
    }

    /// Reads and checks the value of a coefficient.
    fn value(&mut self, place: usize, bits: u8, low: u8) -> Result<(), DecodeError> {
        if place > 63 {
            return Err(overlong());
        }
        let value = self.bits.signed(bits)?;
        self.check(place, value << low)
    }

    fn check(&self, place: usize, value: i32) -> Result<(), DecodeError> {
        let step = i32::from(self.steps[place]);
        // One step of rounding.
        let magnitude = (value.abs() - 1).max(0).saturating_mul(step);
        if magnitude > LARGEST {
            return Err(DecodeError::jpeg("a coefficient is out of range"));
        }
        Ok(())
    }
}

/// A run of zeros and the number of bits of the value after it.
struct AcCode {
    zeros: usize,
    bits: u8,
}

fn ac_code(table: Option<&HuffmanTable>, bits: &mut Bits) -> Result<AcCode, DecodeError> {
    let symbol = table.ok_or_else(no_table)?.decode(bits)?;
    let code = AcCode {
        zeros: usize::from(symbol >> 4),
        bits: symbol & 15,
    };
    if code.bits > 10 {
        return Err(DecodeError::jpeg("a coefficient is out of range"));
    }
    Ok(code)
}

/// Reads the number of blocks that end here, this one included.
fn end_run(zeros: usize, bits: &mut Bits) -> Result<u32, DecodeError> {
    let length = u8::try_from(zeros).unwrap_or(14);
    let more = bits.number(length)?;
    Ok((1 << length) + more.unsigned_abs())
}

fn no_table() -> DecodeError {
    DecodeError::jpeg("missing Huffman table")
}

fn overlong() -> DecodeError {
    DecodeError::jpeg("a block has too many coefficients")
}
