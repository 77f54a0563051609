#![doc = include_str!("../README.md")]

#[cfg(feature = "bench-internals")]
#[doc(hidden)]
#[allow(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "for benches/ alone"
)]
pub mod bench_internals;
pub mod data;
pub mod error;
pub mod gate;
mod kernels;
pub mod layers;
mod loss;
pub mod method;
pub mod noise;
pub mod ops;
pub mod optim;
pub mod posterior;
pub mod prior;
pub mod recipe;
pub mod step;
pub mod toml_file;
pub mod train;
pub mod weight;

pub use error::{Error, Result};
