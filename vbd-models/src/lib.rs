#![doc = include_str!("../README.md")]

pub mod data;
mod error;
mod listed;
pub mod nets;
pub mod recipes;

pub use error::{Error, Result};
pub use listed::{Listed, is_path};
