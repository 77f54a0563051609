//! Pruning, the compressed file and sparse inference.

pub mod error;
pub mod format;
mod evaluation;
mod matrix;
mod net;
mod open;
pub mod report;
mod sparse_net;
mod statistic;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod testing;
mod weights;

pub use error::{Error, Problem, Result};
pub use evaluation::Evaluation;
pub use format::{Layout, PrunedFile, ValueType};
pub use matrix::SparseMatrix;
pub use net::{PrunedLayer, PrunedNet};
pub use open::{Opened, open};
pub use report::Report;
pub use sparse_net::SparseNet;
pub use weights::{PruneOptions, prune};
