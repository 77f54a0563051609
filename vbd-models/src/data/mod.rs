//! Data sets: built in, named, or a user's own.
//!
//! ```
//! use vbd_models::data;
//!
//! let digits = data::digits(data::DEFAULT_SEED, 100, 20)?; // `load("digits", None)` has 60,000
//! assert_eq!((digits.train.len(), digits.classes), (100, 10));
//! assert!(data::list().iter().any(|set| set.name == "mnist"));
//! # Ok::<(), vbd_models::Error>(())
//! ```

mod array;
#[cfg(feature = "hub")]
mod candle;
pub(crate) mod checksum;
mod cifar;
mod digits;
pub mod idx;
mod images;
mod named;
mod npz;
mod packed;
#[cfg(feature = "hub")]
mod parquet;
mod path_text;
mod source;
mod split;
mod summary;
mod svhn;
mod warnings;

pub use array::read_array;
#[cfg(feature = "hub")]
pub use candle::to_candle;
pub use digits::{DEFAULT_SEED, DEFAULT_TEST, DEFAULT_TRAIN, MAX_SAMPLES, digits};
pub use named::NamedSet;
pub use path_text::text_of;
#[cfg(feature = "hub")]
pub use source::load_or_fetch;
pub use source::{DataSource, list, load};
pub use summary::{Summary, summary};
pub use warnings::{DataWarning, warnings};
