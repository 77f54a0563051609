//! The color behind transparent pixels.

use std::fmt;
use std::str::FromStr;

use super::{DecodeError, Raster};

/// A color without transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(
    /// Red, green and blue.
    pub [u8; 3],
);

impl Colour {
    /// White.
    pub const WHITE: Self = Self([u8::MAX; 3]);

    /// Creates the color of one byte per channel, grey or RGB.
    pub fn from_channels(channels: &[u8]) -> Option<Self> {
        match *channels {
            [grey] => Some(Self([grey; 3])),
            [red, green, blue] => Some(Self([red, green, blue])),
            _ => None,
        }
    }

    /// Lays a picture on this color.
    pub(super) fn under(self, raster: &Raster) -> Vec<[u8; 3]> {
        let pixels = raster.pixels.iter();
        pixels.map(|&pixel| over(pixel, self)).collect()
    }
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = match text {
            "black" => Some(Self([0; 3])),
            "white" => Some(Self::WHITE),
            "grey" | "gray" => Some(Self([128; 3])),
            _ => None,
        };
        let digits = text.strip_prefix('#').map(|digits| {
            let digits = digits.chars().map(|digit| digit.to_digit(16));
            digits.collect::<Option<Vec<u32>>>()
        });
        let channels = digits.flatten().and_then(|digits| match digits.len() {
            3 => Some(digits.iter().map(|digit| digit * 17).collect()),
            6 => Some(
                digits
                    .chunks(2)
                    .map(|pair| pair[0] * 16 + pair[1])
                    .collect(),
            ),
            _ => None,
        });
        let bytes = channels.and_then(|channels: Vec<u32>| {
            let bytes: Vec<u8> = channels
                .iter()
                .map(|value| value.to_le_bytes()[0])
                .collect();
            bytes.try_into().ok()
        });
        let colour = named.or(bytes.map(Self));
        colour.ok_or_else(|| "expected black, white, grey, #rgb or #rrggbb".to_owned())
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [0, 0, 0] => formatter.write_str("black"),
            [255, 255, 255] => formatter.write_str("white"),
            [red, green, blue] => write!(formatter, "#{red:02x}{green:02x}{blue:02x}"),
        }
    }
}

/// The color behind transparent pixels, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Given by the user.
    Given(Colour),
    /// Color of the border of the mean training image.
    Blank(Colour),
    /// White, as nothing is known.
    Assumed,
}

impl Ground {
    /// Returns the color.
    pub fn colour(self) -> Colour {
        match self {
            Self::Given(colour) | Self::Blank(colour) => colour,
            Self::Assumed => Colour::WHITE,
        }
    }

    /// Lays a picture on the ground. Returns its colors without alpha.
    ///
    /// # Errors
    /// [`DecodeError::NothingShows`] if no pixel is visible; [`DecodeError::UnknownGround`] if the
    /// ink is only in the alpha and the ground would be a guess.
    pub fn lay(self, raster: &Raster) -> Result<Vec<[u8; 3]>, DecodeError> {
        if raster.pixels.iter().all(|pixel| pixel[3] == 0) {
            return Err(DecodeError::NothingShows(self));
        }
        if self == Self::Assumed && !raster.is_opaque() && raster.has_one_colour() {
            return Err(DecodeError::UnknownGround);
        }
        Ok(self.colour().under(raster))
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(colour) => write!(formatter, "{colour} (--background)"),
            Self::Blank(colour) => write!(
                formatter,
                "{colour} (the border of the network's mean training image)"
            ),
            Self::Assumed => write!(formatter, "{} (the default)", self.colour()),
        }
    }
}

/// `(color * alpha + ground * (255 - alpha)) / 255`, rounded.
fn over([red, green, blue, alpha]: [u8; 4], ground: Colour) -> [u8; 3] {
    let alpha = u32::from(alpha);
    let blend = |above: u8, below: u8| {
        let sum = u32::from(above) * alpha + u32::from(below) * (255 - alpha);
        ((sum + 127) / 255).to_le_bytes()[0]
    };
    let [below_red, below_green, below_blue] = ground.0;
    [
        blend(red, below_red),
        blend(green, below_green),
        blend(blue, below_blue),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::*;

    #[test]
    fn colours_have_names_and_digits() {
        let read = |text: &str| text.parse::<Colour>().ok();
        assert_eq!(read("white"), Some(Colour([255; 3])));
        assert_eq!(read("gray"), read("grey"));
        assert_eq!(read("#f0a"), Some(Colour([255, 0, 170])));
        assert_eq!(read("#102aFF"), Some(Colour([16, 42, 255])));
        for wrong in [
            "", "#", "#12", "#12345", "#1234567", "#ggg", "red", "#+1234",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(Colour([16, 42, 255]).to_string(), "#102aff");
    }

    #[test]
    fn alpha_blends_with_the_ground() {
        let grey = Colour([100; 3]);
        assert_eq!(over([10, 20, 30, 255], grey), [10, 20, 30]);
        assert_eq!(over([10, 20, 30, 0], grey), [100; 3]);
        assert_eq!(over([0, 200, 100, 128], grey), [50, 150, 100]);
    }

    #[test]
    fn a_ground_is_not_guessed_where_the_ink_is_only_in_the_alpha() {
        let raster = Raster {
            size: Size {
                width: 2,
                height: 1,
            },
            pixels: vec![[0, 0, 0, 255], [9, 9, 9, 0]],
            highest: None,
        };
        assert!(Ground::Assumed.lay(&raster).is_err());
        let laid = Ground::Given(Colour::WHITE).lay(&raster).unwrap();
        assert_eq!(laid, [[0; 3], [255; 3]]);
    }
}
