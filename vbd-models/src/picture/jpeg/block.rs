//! The codes of one block.

use super::super::DecodeError;
use super::bits::Bits;
use super::huffman::HuffmanTable;

/// Quantized coefficients of a block, in zigzag order.
pub(super) type Block = [i16; 64];

/// Largest magnitude of a quantized coefficient.
const LARGEST: i32 = 2047;
/// Largest norm of a block, dequantized. The transform keeps the norm, and 64 samples of up to 128 have 1024;
/// encoders that sharpen edges exceed it by up to a quarter.
const NORM: u64 = 1280;

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

/// Bits and tables of a block's component.
pub(super) struct BlockReader<'a, 'b> {
    pub(super) bits: &'a mut Bits<'b>,
    pub(super) dc: Option<&'a HuffmanTable>,
    pub(super) ac: Option<&'a HuffmanTable>,
}

impl BlockReader<'_, '_> {
    /// Decodes a block of a sequential scan.
    pub(super) fn sequential(
        &mut self,
        block: &mut Block,
        previous: &mut i32,
    ) -> Result<(), DecodeError> {
        self.dc_first(block, previous, 0)?;
        let mut place = 1;
        while place < 64 {
            let code = self.ac_code()?;
            match (code.zeros, code.bits) {
                (0, 0) => return Ok(()),
                (15, 0) => place += 16,
                (_, 0) => return Err(DecodeError::jpeg("an unknown run of zeros")),
                (zeros, bits) => {
                    place += zeros;
                    let own = block.get_mut(place).ok_or_else(overlong)?;
                    *own = self.value(bits, 0)?;
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
    pub(super) fn dc_first(
        &mut self,
        block: &mut Block,
        previous: &mut i32,
        low: u8,
    ) -> Result<(), DecodeError> {
        let bits = self.dc.ok_or_else(no_table)?.decode(self.bits)?;
        if bits > 11 {
            return Err(out_of_range());
        }
        *previous += self.bits.signed(bits)?;
        block[0] = in_range(*previous, low)?;
        Ok(())
    }

    /// Reads a bit of the first coefficient.
    pub(super) fn dc_refine(&mut self, block: &mut Block, low: u8) -> Result<(), DecodeError> {
        block[0] |= i16::from(self.bits.bit()?) << low;
        Ok(())
    }

    /// Decodes a band of a first scan.
    pub(super) fn ac_first(
        &mut self,
        band: Band,
        block: &mut Block,
        run: &mut u32,
    ) -> Result<(), DecodeError> {
        if *run > 0 {
            *run -= 1;
            return Ok(());
        }
        let mut place = band.first;
        while place <= band.last {
            let code = self.ac_code()?;
            match (code.zeros, code.bits) {
                (15, 0) => place += 16,
                (zeros, 0) => {
                    *run = self.end_run(zeros)? - 1;
                    return Ok(());
                }
                (zeros, bits) => {
                    place += zeros;
                    let own = block[..=band.last].get_mut(place);
                    *own.ok_or_else(overlong)? = self.value(bits, band.low)?;
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
        block: &mut Block,
        run: &mut u32,
    ) -> Result<(), DecodeError> {
        let mut place = band.first;
        while *run == 0 && place <= band.last {
            let code = self.ac_code()?;
            let mut zeros = code.zeros;
            let value = match code.bits {
                0 if zeros < 15 => {
                    *run = self.end_run(zeros)?;
                    break;
                }
                0 => 0,
                1 => self.value(1, band.low)?,
                _ => return Err(out_of_range()),
            };
            while place <= band.last {
                if block[place] != 0 {
                    self.correct(&mut block[place], band.low)?;
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
            block[place] = value;
            place += 1;
        }
        if *run > 0 {
            for own in block[..=band.last].iter_mut().skip(place) {
                if *own != 0 {
                    self.correct(own, band.low)?;
                }
            }
            *run -= 1;
        }
        Ok(())
    }

    /// Reads a bit of a coefficient that is not 0.
    fn correct(&mut self, value: &mut i16, low: u8) -> Result<(), DecodeError> {
        let bit = i16::from(self.bits.bit()?) << low;
        *value += bit * value.signum();
        Ok(())
    }

    /// Reads the value of a coefficient.
    fn value(&mut self, bits: u8, low: u8) -> Result<i16, DecodeError> {
        in_range(self.bits.signed(bits)?, low)
    }

    fn ac_code(&mut self) -> Result<AcCode, DecodeError> {
        let symbol = self.ac.ok_or_else(no_table)?.decode(self.bits)?;
        let code = AcCode {
            zeros: usize::from(symbol >> 4),
            bits: symbol & 15,
        };
        if code.bits > 10 {
            return Err(out_of_range());
        }
        Ok(code)
    }

    /// Reads the number of blocks that end here, this one included.
    fn end_run(&mut self, zeros: usize) -> Result<u32, DecodeError> {
        let length = u8::try_from(zeros).unwrap_or(14);
        let more = self.bits.number(length)?;
        Ok((1 << length) + more.unsigned_abs())
    }
}

/// A run of zeros and the number of bits of the value after it.
struct AcCode {
    zeros: usize,
    bits: u8,
}

/// Checks that a block can come from 8 x 8 samples. `steps` is its quantization.
///
/// # Errors
/// If its norm is too large, even if each coefficient was rounded up by half a step.
pub(super) fn check_norm(block: &Block, steps: &[u16; 64]) -> Result<(), DecodeError> {
    let squares = block.iter().zip(steps).map(|(&value, &step)| {
        let doubled = u64::from((2 * i32::from(value).unsigned_abs()).saturating_sub(1));
        (doubled * u64::from(step)).pow(2)
    });
    if squares.sum::<u64>() > 4 * NORM * NORM {
        return Err(out_of_range());
    }
    Ok(())
}

fn in_range(value: i32, low: u8) -> Result<i16, DecodeError> {
    let value = value << low;
    let is_small = value.abs() <= LARGEST;
    let value = i16::try_from(value).ok().filter(|_| is_small);
    value.ok_or_else(out_of_range)
}

fn out_of_range() -> DecodeError {
    DecodeError::jpeg("a coefficient is out of range")
}

fn no_table() -> DecodeError {
    DecodeError::jpeg("missing Huffman table")
}

fn overlong() -> DecodeError {
    DecodeError::jpeg("a block has too many coefficients")
}
