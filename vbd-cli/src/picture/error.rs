//! The error of decoding.

use super::{Ground, Size};

/// A file that cannot be read as a picture, or whose picture shows nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("file is empty")]
    Empty,
    #[error("neither a PNG nor a JPEG image")]
    UnknownFormat,
    #[error("file is larger than the limit of {limit} bytes")]
    FileTooLarge { limit: u64 },
    #[error("declares {size} pixels: the limit is {limit}")]
    TooManyPixels { size: Size, limit: usize },
    #[error("PNG is cut off: {0}")]
    PngCut(&'static str),
    #[error("PNG is damaged: {0}")]
    PngDamaged(String),
    #[error("JPEG is cut off: {0}")]
    JpegCut(&'static str),
    #[error("JPEG is damaged: {0}")]
    JpegDamaged(String),
    #[error("JPEG is {0}: expected 8-bit baseline or progressive with Huffman codes")]
    JpegKind(&'static str),
    #[error("EXIF data are damaged: {0}")]
    Exif(&'static str),
    #[error("nothing shows on {0}")]
    NothingShows(Ground),
    #[error("all visible pixels have one color, and the color behind them is unknown")]
    UnknownGround,
}

impl DecodeError {
    pub(crate) fn png(text: impl Into<String>) -> Self {
        Self::PngDamaged(text.into())
    }

    pub(crate) fn jpeg(text: impl Into<String>) -> Self {
        Self::JpegDamaged(text.into())
    }

    /// Returns what to do about the error.
    pub(crate) fn hint(&self) -> Option<&'static str> {
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
