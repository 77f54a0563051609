//! The planes of a network's input.

/// Channels that a network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One plane.
    Grey,
    /// Planes of red, green and blue.
    Rgb,
}

impl Channels {
    /// Converts pixels to planes, one after another.
    pub fn planes(self, pixels: &[[u8; 3]]) -> Vec<u8> {
        match self {
            Self::Grey => pixels.iter().map(|&pixel| grey(pixel)).collect(),
            Self::Rgb => (0..3)
                .flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel]))
                .collect(),
        }
    }
}

/// Luma with the weights of ITU-R 601, as Pillow computes `L`.
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    let sum = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    ((sum + 0x8000) >> 16).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_is_rec_601_and_keeps_grey_pixels() {
        // python3 -c "from PIL import Image; print(Image.new('RGB', (1, 1), C).convert('L').getpixel((0, 0)))"
        for (pixel, luma) in [
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([10, 200, 30], 124),
        ] {
            assert_eq!(grey(pixel), luma, "{pixel:?}");
        }
        for value in 0..=255 {
            assert_eq!(grey([value; 3]), value);
        }
    }

    #[test]
    fn planes_come_channel_by_channel() {
        let pixels = [[1, 2, 3], [4, 5, 6]];
        assert_eq!(Channels::Rgb.planes(&pixels), [1, 4, 2, 5, 3, 6]);
        assert_eq!(Channels::Grey.planes(&pixels).len(), 2);
    }
}
