//! Variational Bayesian dropout (VBD) on Candle.

pub mod data;
pub mod error;
pub mod file;
// For benchmarks only: what is public here may change with any version.
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod kernels;
#[cfg(not(feature = "bench-internals"))]
mod kernels;
pub mod layers;
pub mod noise;
pub mod posterior;
pub mod prior;
pub mod recipe;
pub mod spec;
pub mod step;
pub mod tensor_file;
pub mod toml_file;
pub mod train;
pub mod weight;

pub use error::{Error, Result};
