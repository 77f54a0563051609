//! Color models and their conversion to RGB, as libjpeg and Pillow compute it.

use super::super::DecodeError;
use super::frame::Component;

/// Meaning of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColourModel {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

impl ColourModel {
    /// Determines the model as libjpeg does.
    pub(super) fn new(
        components: &[Component],
        is_jfif: bool,
        adobe: Option<u8>,
    ) -> Result<Self, DecodeError> {
        let ids: Vec<u8> = components.iter().map(|component| component.id).collect();
        match (components.len(), adobe) {
            (1, _) => Ok(Self::Grey),
            (3, _) if is_jfif => Ok(Self::YCbCr),
            (3, Some(0)) => Ok(Self::Rgb),
            (3, None) if ids == *b"RGB" => Ok(Self::Rgb),
            (3, None | Some(1)) => Ok(Self::YCbCr),
            (4, None | Some(0)) => Ok(Self::Cmyk),
            (4, Some(2)) => Ok(Self::Ycck),
            _ => Err(DecodeError::jpeg("its color model is unknown")),
        }
    }

    /// Converts the samples of a pixel, one of each component. Inks are stored inverted.
    pub(super) fn rgb(self, samples: [u8; 4]) -> [u8; 3] {
        let [first, second, third, fourth] = samples;
        match self {
            Self::Grey => [first; 3],
            Self::Rgb => [first, second, third],
            Self::YCbCr => from_ycbcr(first, second, third),
            Self::Cmyk => [first, second, third].map(|light| through(light, fourth)),
            Self::Ycck => {
                from_ycbcr(first, second, third).map(|ink| through(u8::MAX - ink, fourth))
            }
        }
    }
}

/// ITU-R 601 with 16 bits of fraction.
fn from_ycbcr(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let luma = i32::from(luma);
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let shifts = [
        91881 * red + HALF,
        -22554 * blue - 46802 * red + HALF,
        116_130 * blue + HALF,
    ];
    shifts.map(|shift| (luma + (shift >> 16)).clamp(0, 255).to_le_bytes()[0])
}

/// Light that passes an ink and the black.
fn through(light: u8, black: u8) -> u8 {
    let black = u32::from(black);
    let absorbed = u32::from(u8::MAX - light) * black + 128;
    let absorbed = ((absorbed >> 8) + absorbed) >> 8;
    black.saturating_sub(absorbed).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_converted() {
        assert_eq!(ColourModel::YCbCr.rgb([76, 85, 255, 0]), [254, 0, 0]);
        assert_eq!(ColourModel::YCbCr.rgb([128, 128, 128, 0]), [128; 3]);
        assert_eq!(ColourModel::Cmyk.rgb([255, 0, 128, 255]), [255, 0, 128]);
        assert_eq!(ColourModel::Cmyk.rgb([255, 255, 255, 100]), [100; 3]);
        assert_eq!(ColourModel::Ycck.rgb([255, 128, 128, 255]), [0; 3]);
    }
}
