//! Networks, recipes and data sets.

pub mod data;
mod error;
mod listed;

pub use error::{Error, Result};
pub use listed::Listed;
