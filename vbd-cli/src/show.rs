//! Pixels as lines of text: two rows of pixels per line.

use vbd_models::picture::{Channels, Size};

/// Characters from dark to bright.
const RAMP: &[u8] = b" .:-=+*#%@";

/// How pixels are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Half blocks in 24-bit colors.
    TrueColour,
    /// Half blocks in the 256 colors of older terminals.
    Palette,
    /// Characters without colors; bright pixels are dense.
    Characters,
}

impl Style {
    /// Chooses the style; `COLORTERM` says whether the terminal has 24-bit colors.
    pub(crate) fn choose(colours: bool) -> Self {
        let terminal = std::env::var("COLORTERM").unwrap_or_default();
        match (colours, &*terminal) {
            (false, _) => Self::Characters,
            (true, "truecolor" | "24bit") => Self::TrueColour,
            (true, _) => Self::Palette,
        }
    }
}

/// The pixels that a network reads.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) size: Size,
    pub(crate) channels: Channels,
    /// Planes, one after another.
    pub(crate) planes: Vec<u8>,
}

impl View {
    /// Returns the width of the lines.
    pub(crate) fn width(&self, columns: usize) -> usize {
        let factor = self.size.width.div_ceil(columns.max(1));
        self.size.width.div_ceil(factor.max(1))
    }

    /// Draws the pixels, shrunk by a whole factor to at most `columns` characters. Returns the lines;
    /// each is as wide as the picture.
    pub(crate) fn lines(&self, style: Style, columns: usize) -> Vec<String> {
        let factor = self.size.width.div_ceil(columns.max(1));
        let width = self.width(columns);
        let height = self.size.height.div_ceil(factor);
        let rows = (0..height).step_by(2);
        rows.map(|row| {
            let mut line = String::new();
            for column in 0..width {
                let upper = self.mean(row, column, factor);
                let lower = (row + 1 < height).then(|| self.mean(row + 1, column, factor));
                line.push_str(&style.cell(upper, lower));
            }
            if style != Style::Characters {
                line.push_str("\x1b[0m");
            }
            line
        })
        .collect()
    }

    /// Mean color of a square of pixels.
    fn mean(&self, row: usize, column: usize, factor: usize) -> [u8; 3] {
        let Size { width, height } = self.size;
        let rows = row * factor..((row + 1) * factor).min(height);
        let columns = column * factor..((column + 1) * factor).min(width);
        let count = rows.len() * columns.len();
        [0, 1, 2].map(|channel| {
            let plane = match self.channels {
                Channels::Grey => 0,
                Channels::Rgb => channel * width * height,
            };
            let pixels = rows.clone().flat_map(|row| {
                let start = plane + row * width;
                &self.planes[start + columns.start..start + columns.end]
            });
            let sum: usize = pixels.map(|&value| usize::from(value)).sum();
            (sum / count.max(1)).to_le_bytes()[0]
        })
    }
}

impl Style {
    fn cell(self, upper: [u8; 3], lower: Option<[u8; 3]>) -> String {
        match self {
            Self::Characters => {
                let pixels = std::iter::once(upper).chain(lower);
                let values: Vec<usize> = pixels.flatten().map(usize::from).collect();
                let mean = values.iter().sum::<usize>() / values.len();
                char::from(RAMP[mean * (RAMP.len() - 1) / 255]).to_string()
            }
            Self::TrueColour => {
                let [r, g, b] = upper;
                let below = match lower {
                    Some([r, g, b]) => format!("48;2;{r};{g};{b}"),
                    None => "49".to_owned(),
                };
                format!("\x1b[38;2;{r};{g};{b};{below}m▀")
            }
            Self::Palette => {
                let below = match lower {
                    Some(lower) => format!("48;5;{}", palette_index(lower)),
                    None => "49".to_owned(),
                };
                format!("\x1b[38;5;{};{below}m▀", palette_index(upper))
            }
        }
    }
}

/// Nearest of the 24 greys, or of the 6 x 6 x 6 colors.
fn palette_index([red, green, blue]: [u8; 3]) -> usize {
    if red == green && green == blue {
        return match red {
            0..4 => 16,
            247.. => 231,
            _ => 232 + ((usize::from(red) - 3) / 10).min(23),
        };
    }
    let sixth = |value: u8| (usize::from(value) * 5 + 127) / 255;
    16 + 36 * sixth(red) + 6 * sixth(green) + sixth(blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            size: Size {
                width: 3,
                height: 3,
            },
            channels: Channels::Grey,
            planes: vec![0, 255, 128, 0, 255, 128, 255, 0, 0],
        }
    }

    #[test]
    fn characters_show_two_rows_a_line() {
        assert_eq!(view().lines(Style::Characters, 80), [" @=", "@  "]);
        assert_eq!(view().lines(Style::Characters, 2).len(), 1);
    }

    #[test]
    fn half_blocks_have_both_colours() {
        let lines = view().lines(Style::TrueColour, 80);
        assert!(lines[0].starts_with("\x1b[38;2;0;0;0;48;2;0;0;0m▀\x1b[38;2;255;255;255;"));
        assert!(lines[1].contains("\x1b[38;2;255;255;255;49m▀"));
        let lines = view().lines(Style::Palette, 80);
        assert!(lines[0].starts_with("\x1b[38;5;16;48;5;16m▀\x1b[38;5;231;48;5;231m▀"));
        assert_eq!(palette_index([255, 0, 0]), 196);
        assert_eq!(palette_index([128; 3]), 244);
    }
}
