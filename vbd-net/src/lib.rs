//! What a pruned network is, how it is stored and how well it does: what an application embeds.
//!
//! No Candle, no training, no TOML. Whoever trains builds on this crate; it knows nobody of them.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare exactly"))]

pub mod data;
pub mod error;
pub mod file;
pub mod matrix;
pub mod output;
pub mod simd;
pub mod tensor_file;

pub use error::{Error, Result};
pub use matrix::SparseMatrix;
