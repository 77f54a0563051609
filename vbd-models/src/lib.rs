#![doc = include_str!("../README.md")]

mod catalog;
pub mod data;
mod error;
#[cfg(feature = "hub")]
pub mod hub;
pub mod nets;
pub mod picture;
pub mod recipes;
pub mod sweep;

pub use catalog::{CatalogEntry, is_path};
pub use error::{Error, Result};
