//! Networks, recipes and data sets for variational Bayesian dropout on Candle.
//!
//! - [`nets`]: networks as data, by name or from a TOML file of your own
//! - [`recipes`]: how to train them, by name or from a TOML file of your own
//! - [`data`]: the built-in set `digits`, MNIST and its kin from IDX files, sets of your own
//!
//! ```
//! use vbd_models::{data, nets, recipes};
//!
//! let recipe = recipes::recipe("quickstart")?;
//! let net = nets::net(recipe.model.as_deref().unwrap_or("lenet-300-100"))?;
//! let digits = data::digits(data::DEFAULT_SEED, 100, 20)?;
//! assert_eq!(net.input, digits.shape);
//! assert_eq!(net.classes, Some(digits.classes));
//! # Ok::<(), vbd_models::Error>(())
//! ```
//!
//! The feature `hub` (on by default) brings candle-datasets: [`data`] can then be handed to Candle's
//! users in its form. Without it the crate has a small tree of dependencies.

pub mod data;
mod error;
mod listed;
pub mod nets;
pub mod recipes;

pub use error::{Error, Result};
pub use listed::{Listed, is_path};
