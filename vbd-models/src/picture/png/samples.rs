//! Samples of a row to red, green, blue and alpha.

use super::super::{DecodeError, Raster};
use super::chunks::Chunks;

/// Color type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Grey,
    Rgb,
    Palette,
    GreyAlpha,
    Rgba,
}

impl Colour {
    pub(super) fn new(number: u8) -> Result<Self, DecodeError> {
        match number {
            0 => Ok(Self::Grey),
            2 => Ok(Self::Rgb),
            3 => Ok(Self::Palette),
            4 => Ok(Self::GreyAlpha),
            6 => Ok(Self::Rgba),
            _ => Err(DecodeError::png(format!("unknown color type {number}"))),
        }
    }

    fn channels(self) -> usize {
        match self {
            Self::Grey | Self::Palette => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// How the samples of a pixel become colors.
#[derive(Debug)]
pub(super) struct Samples {
    depth: usize,
    colour: Colour,
    /// Colors of a palette.
    palette: Vec<[u8; 4]>,
    /// Samples of the color that is transparent, at the full depth.
    key: Option<Vec<u16>>,
}

impl Samples {
    /// Parses the palette and the transparent color.
    pub(super) fn new(depth: u8, colour: Colour, chunks: &Chunks) -> Result<Self, DecodeError> {
        let is_valid = match colour {
            Colour::Grey => matches!(depth, 1 | 2 | 4 | 8 | 16),
            Colour::Palette => matches!(depth, 1 | 2 | 4 | 8),
            _ => matches!(depth, 8 | 16),
        };
        if !is_valid {
            return Err(DecodeError::png(format!("unknown bit depth {depth}")));
        }
        let mut samples = Self {
            depth: usize::from(depth),
            colour,
            palette: Vec::new(),
            key: None,
        };
        if colour == Colour::Palette {
            samples.palette = palette(chunks, depth)?;
        } else if let Some(key) = chunks.transparency {
            samples.key = Some(samples.key(key)?);
        }
        Ok(samples)
    }

    /// Returns whether samples have 16 bits.
    pub(super) fn is_deep(&self) -> bool {
        self.depth == 16
    }

    fn key(&self, bytes: &[u8]) -> Result<Vec<u16>, DecodeError> {
        let (numbers, rest) = bytes.as_chunks::<2>();
        let key: Vec<u16> = numbers
            .iter()
            .map(|&bytes| u16::from_be_bytes(bytes))
            .collect();
        let fits = matches!(self.colour, Colour::Grey | Colour::Rgb)
            && rest.is_empty()
            && key.len() == self.colour.channels()
            && key.iter().all(|&value| value <= self.most());
        let wrong = || DecodeError::png("chunk `tRNS` does not fit the color type");
        fits.then_some(key).ok_or_else(wrong)
    }

    /// Largest value of a sample.
    fn most(&self) -> u16 {
        u16::MAX >> (16 - self.depth)
    }

    /// Appends the pixels of a packed row.
    pub(super) fn expand(&self, row: &[u8], raster: &mut Raster) -> Result<(), DecodeError> {
        let channels = self.colour.channels();
        for pixel in 0..raster.size.width {
            let mut own = [0_u16; 4];
            for (channel, sample) in own[..channels].iter_mut().enumerate() {
                *sample = self.sample(row, pixel * channels + channel);
            }
            let pixel = self.pixel(own)?;
            if let Some(highest) = raster.highest.as_mut().filter(|_| pixel[3] > 0) {
                let colours = match self.colour {
                    Colour::GreyAlpha => 1,
                    Colour::Rgba => 3,
                    _ => channels,
                };
                *highest = own[..colours].iter().copied().fold(*highest, u16::max);
            }
            raster.pixels.push(pixel);
        }
        Ok(())
    }

    fn sample(&self, row: &[u8], place: usize) -> u16 {
        match self.depth {
            16 => u16::from_be_bytes([row[place * 2], row[place * 2 + 1]]),
            8 => row[place].into(),
            depth => {
                let per_byte = 8 / depth;
                let shift = (per_byte - 1 - place % per_byte) * depth;
                u16::from(row[place / per_byte] >> shift) & self.most()
            }
        }
    }

    fn pixel(&self, own: [u16; 4]) -> Result<[u8; 4], DecodeError> {
        if self.colour == Colour::Palette {
            let colour = self.palette.get(usize::from(own[0])).copied();
            return colour.ok_or_else(|| {
                DecodeError::png(format!(
                    "pixel of color {} in a palette of {}",
                    own[0],
                    self.palette.len()
                ))
            });
        }
        let is_key = |key: &Vec<u16>| own.starts_with(key);
        let alpha = if self.key.as_ref().is_some_and(is_key) {
            0
        } else {
            u8::MAX
        };
        let [first, second, third, fourth] = own.map(|sample| self.to_byte(sample));
        Ok(match self.colour {
            Colour::GreyAlpha => [first, first, first, second],
            Colour::Rgba => [first, second, third, fourth],
            Colour::Rgb => [first, second, third, alpha],
            Colour::Grey | Colour::Palette => [first, first, first, alpha],
        })
    }

    /// Scales a sample to 8 bits; of 16 bits takes the upper byte, as libpng and Pillow do.
    fn to_byte(&self, sample: u16) -> u8 {
        let value = match self.depth {
            16 => sample >> 8,
            _ => sample * (255 / self.most()),
        };
        value.to_le_bytes()[0]
    }
}

fn palette(chunks: &Chunks, depth: u8) -> Result<Vec<[u8; 4]>, DecodeError> {
    let colours = chunks.palette;
    let colours = colours.ok_or_else(|| DecodeError::png("missing chunk `PLTE`"))?;
    let (colours, rest) = colours.as_chunks::<3>();
    if colours.is_empty() || colours.len() > 1 << depth || !rest.is_empty() {
        return Err(DecodeError::png("chunk `PLTE` has a wrong length"));
    }
    let alphas = chunks.transparency.unwrap_or_default();
    if alphas.len() > colours.len() {
        return Err(DecodeError::png("chunk `tRNS` is longer than the palette"));
    }
    let alphas = alphas.iter().copied().chain(std::iter::repeat(u8::MAX));
    let colours = colours.iter().zip(alphas);
    Ok(colours
        .map(|(&[red, green, blue], alpha)| [red, green, blue, alpha])
        .collect())
}
