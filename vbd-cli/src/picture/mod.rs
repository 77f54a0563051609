//! Pictures as a viewer shows them: PNG and JPEG files to the pixels that a network reads.
//!
//! [`bytes`] reads a file or a pipe. [`Encoded`] parses the headers, so that the size can be checked
//! before anything large is allocated, and decodes strictly: a damaged file is an error.
//! [`Ground`] fills transparent pixels, and [`channels`] makes the planes of a network.

pub(crate) mod bytes;
mod channels;
mod encoded;
mod error;
mod ground;
mod jpeg;
mod orientation;
#[cfg(test)]
mod pillow;
mod png;
mod raster;
pub(crate) mod show;

pub(crate) use self::channels::Channels;
pub(crate) use self::encoded::Encoded;
pub(crate) use self::error::DecodeError;
pub(crate) use self::ground::{Colour, Ground};
pub(crate) use self::raster::{Raster, Size};
