//! Sparse files and layers for a user's own model, without a recipe or a network file.
//!
//! [`save_sparse`] prunes the weights with a posterior in a `VarMap` and stores all other variables
//! unchanged. [`sparse_var_builder`] reads the file for candle-nn's layers and for [`sparse_linear`]
//! and [`sparse_conv2d`], which run on the sparse kernels.

mod layer;
mod load;
mod save;

pub use layer::{SparseConv2d, SparseLinear, sparse_conv2d, sparse_linear};
pub use load::sparse_var_builder;
pub use save::{SaveOptions, save_sparse};
