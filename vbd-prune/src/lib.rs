#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare exactly"))]

pub mod bench;
pub mod card;
pub mod error;
pub mod export;
mod import;
pub mod module;
mod open;
mod origin;
pub mod report;
pub mod sensitivity;
mod sparse_net;
mod start;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod testing;
mod weights;

pub use error::{Error, Result};
pub use import::{Rename, import};
pub use module::{
    SaveOptions, SparseConv2d, SparseLinear, save_sparse, sparse_conv2d, sparse_linear,
    sparse_var_builder,
};
pub use open::{ModelFile, open};
pub use report::Report;
pub use sparse_net::{DenseNet, Prediction, SparseNet};
pub use start::StartFile;
pub use vbd_net::{Layout, ValueType};
pub use weights::{PruneOptions, prune, prune_checkpoint};
