#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare exactly"))]

#[cfg(feature = "capi")]
pub mod capi;
pub mod data;
pub mod error;
pub mod file;
pub mod foreign;
pub mod format;
pub mod graph;
pub mod matrix;
mod net;
mod neurons;
pub mod ops;
pub mod output;
mod passes;
mod problem;
pub mod runtime;
pub mod simd;
pub mod spec;
pub mod statistic;
pub mod tensor_file;
#[cfg(test)]
#[path = "../tests/common/draws.rs"]
mod testing;

pub use error::{Error, Result};
pub use format::{Layout, PrunedFile, ValueType};
pub use matrix::SparseMatrix;
pub use net::{NetTensors, NormTensors, Origin, PrunedLayer, PrunedNet, Selection, UnitScale};
pub use problem::Problem;
pub use runtime::{Plan, Session};
