//! The error of decoding.

use super::{Ground, Size};

/// A file that cannot be read as a picture, or whose picture shows nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The file has no bytes.
    #[error("file is empty")]
    Empty,
    /// The file is of another format.
    #[error("neither a PNG nor a JPEG image")]
    UnknownFormat,
    /// The file has too many bytes.
    #[error("file is larger than the limit of {limit} bytes")]
    FileTooLarge {
        /// Largest number of bytes.
        limit: u64,
    },
    /// The header declares too many pixels.
    #[error("declares {size} pixels: the limit is {limit}")]
    TooManyPixels {
        /// Size that the header declares.
        size: Size,
        /// Largest number of pixels.
        limit: usize,
    },
    /// A PNG file ends early.
    #[error("PNG is cut off: {0}")]
    PngCut(&'static str),
    /// A PNG file is damaged.
    #[error("PNG is damaged: {0}")]
    PngDamaged(String),
    /// A JPEG file ends early.
    #[error("JPEG is cut off: {0}")]
    JpegCut(&'static str),
    /// A JPEG file is damaged.
    #[error("JPEG is damaged: {0}")]
    JpegDamaged(String),
    /// A kind of JPEG that is not read.
    #[error("JPEG is {0}: expected 8-bit baseline or progressive with Huffman codes")]
    JpegKind(&'static str),
    /// The EXIF data cannot be read, so that the orientation is unknown.
    #[error("EXIF data are damaged: {0}")]
    Exif(&'static str),
    /// Nothing of the picture is visible.
    #[error("nothing shows on {0}")]
    NothingShows(Ground),
    /// The ink is only in the alpha, and the ground would be a guess.
    #[error("all visible pixels have one color, and the color behind them is unknown")]
    UnknownGround,
}

impl DecodeError {
    pub(super) fn png(text: impl Into<String>) -> Self {
        Self::PngDamaged(text.into())
    }

    pub(super) fn jpeg(text: impl Into<String>) -> Self {
        Self::JpegDamaged(text.into())
    }

    /// Returns what to do about the error.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NothingShows(_) | Self::UnknownGround => Some(
                "choose the color behind transparent pixels with --background COLOR; add --invert \
                 for dark ink on light paper",
            ),
            Self::UnknownFormat | Self::JpegKind(_) => Some("save the image as PNG"),
            Self::Exif(_) => Some("save the image again without EXIF data"),
            _ => None,
        }
    }
}
