//! The bits of entropy-coded data.

use super::super::DecodeError;

/// A cursor over bits, highest first. A zero byte after 0xff is stuffing.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    byte: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            byte: 0,
            left: 0,
        }
    }

    /// Reads a bit.
    ///
    /// # Errors
    /// If the file or its data end before.
    pub(super) fn bit(&mut self) -> Result<u8, DecodeError> {
        if self.left == 0 {
            let cut = || DecodeError::JpegCut("its data end early");
            self.byte = *self.bytes.get(self.at).ok_or_else(cut)?;
            self.at += 1;
            if self.byte == 0xff {
                if *self.bytes.get(self.at).ok_or_else(cut)? != 0 {
                    return Err(DecodeError::JpegCut("a marker comes before the data's end"));
                }
                self.at += 1;
            }
            self.left = 8;
        }
        self.left -= 1;
        Ok(self.byte >> self.left & 1)
    }

    /// Reads a number of `count` bits, up to 16.
    pub(super) fn number(&mut self, count: u8) -> Result<i32, DecodeError> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | i32::from(self.bit()?);
        }
        Ok(number)
    }

    /// Reads a signed number of a category: `count` bits, negative if the first is 0.
    pub(super) fn signed(&mut self, count: u8) -> Result<i32, DecodeError> {
        let number = self.number(count)?;
        let is_negative = count > 0 && number < 1 << (count - 1);
        Ok(if is_negative {
            number - (1 << count) + 1
        } else {
            number
        })
    }

    /// Skips the bits up to the next byte.
    pub(super) fn align(&mut self) {
        self.left = 0;
    }
}
