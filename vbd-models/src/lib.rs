#![doc = include_str!("../README.md")]

mod catalog;
pub mod data;
mod error;
pub mod nets;
pub mod picture;
pub mod recipes;

pub use catalog::{CatalogEntry, is_path};
pub use error::{Error, Result};
