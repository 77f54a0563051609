//! Sparse files and layers for a model of one's own: no recipe, no network file.
//!
//! [`save_sparse`] prunes what has a posterior in a `VarMap` and stores the rest as it is; [`sparse_var_builder`] reads
//! it back, for candle-nn's layers and for [`sparse_linear`] and [`sparse_conv2d`], which run on the sparse kernels.

mod layer;
mod load;
mod save;

pub use layer::{SparseConv2d, SparseLinear, sparse_conv2d, sparse_linear};
pub use load::sparse_var_builder;
pub use save::{SaveOptions, save_sparse};
