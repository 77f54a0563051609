//! Pictures as a viewer shows them: PNG and JPEG files to the pixels that a network reads.
//!
//! [`read`] reads a file or a pipe. [`Encoded`] parses the headers, so that the size can be checked
//! before anything large is allocated, and decodes strictly: a damaged file is an error.
//! [`Ground`] fills transparent pixels, and [`Channels`] makes the planes of a network.
//!
//! ```no_run
//! use vbd_models::picture::{Channels, Encoded, Ground, read};
//!
//! let bytes = read("digit.png".as_ref())?;
//! let picture = Encoded::open(&bytes)?;
//! println!("{}", picture.size());
//! let pixels = Ground::Assumed.lay(&picture.decode()?)?;
//! let planes = Channels::Grey.planes(&pixels); // one byte per pixel, row by row
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bytes;
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

pub use self::bytes::{is_stdin, read};
pub use self::channels::Channels;
pub use self::encoded::Encoded;
pub use self::error::DecodeError;
pub use self::ground::{Colour, Ground};
pub use self::raster::{Raster, Size};
