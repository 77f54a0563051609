//! Pruning, the compressed file and sparse inference for variational Bayesian dropout on Candle.
//!
//! A checkpoint of a run becomes a file of the weights that are kept:
//!
//! ```
//! # use vbd_core::{posterior, recipe::{NetToml, Recipe}, train::*, weight::*};
//! # use vbd_net::spec::{NetSpec, Normalizer};
//! # let folder = std::env::temp_dir().join(format!("vbd-prune-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let spec = NetSpec::from_toml("name = 'tiny'\ninput = [1, 2, 2]\nclasses = 2\n[[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2", "")?;
//! # let theta = Parameter::new(vec![0.1, 0.2, 1.0, 0.1, 0.1, 2.0, 0.3, 0.1]);
//! # let log_sigma2 = Parameter::new(theta.value.iter().map(|t| if *t < 1.0 { 3.0 } else { -9.0 }).collect());
//! # let layer = LayerParameters {
//! #     name: "fc1".into(),
//! #     weight: Weight::dense(&[2, 4], theta, vec![posterior::state(log_sigma2)])?,
//! #     bias: Parameter::new(vec![0.5, 0.0]),
//! # };
//! # let checkpoint = Checkpoint {
//! #     recipe: Recipe::from_toml("summary = ''\nmethod = { kind = 'vbd' }", "")?,
//! #     progress: Progress::default(),
//! #     data: DataInfo { name: "none".into(), n_train: 0, crc32: 0 },
//! #     normalizer: Normalizer::with_images(&spec, None, None).unwrap(),
//! #     parameters: vec![layer].into(),
//! #     keep_every: 5,
//! #     spec,
//! # };
//! # checkpoint.write(&folder.join("last.safetensors"))?;
//! use vbd_prune::{PruneOptions, Report, open, prune};
//!
//! let file = prune(&open(folder.join("last.safetensors"))?, &PruneOptions::default())?;
//! file.write(&folder.join("pruned.safetensors"))?;
//! let report = Report::of_file(&file)?;
//! assert_eq!((report.nnz, report.compression_ratio), (2, Some(4.0)));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! and that file runs, on Candle tensors of raw pixels:
//!
//! ```
//! # use vbd_core::{recipe::{NetToml, Recipe}, train::*, weight::*};
//! # use vbd_net::spec::{NetSpec, Normalizer};
//! # let folder = std::env::temp_dir().join(format!("vbd-prune-run-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let spec = NetSpec::from_toml("name = 'tiny'\ninput = [1, 2, 2]\nclasses = 2\n[[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2", "")?;
//! # let layer = LayerParameters {
//! #     name: "fc1".into(),
//! #     weight: Weight::dense(&[2, 4], Parameter::new(vec![0., 0., 1., 0., 0., 2., 0., 0.]), Vec::new())?,
//! #     bias: Parameter::new(vec![0.5, 0.0]),
//! # };
//! # let checkpoint = Checkpoint {
//! #     recipe: Recipe::from_toml("summary = ''\nmethod = { kind = 'dense' }", "")?,
//! #     progress: Progress::default(),
//! #     data: DataInfo { name: "none".into(), n_train: 0, crc32: 0 },
//! #     normalizer: Normalizer::with_images(&spec, None, None).unwrap(),
//! #     parameters: vec![layer].into(),
//! #     keep_every: 5,
//! #     spec,
//! # };
//! # let net = vbd_prune::prune_checkpoint(&checkpoint, None)?;
//! # vbd_net::PrunedFile::new(&net, None, vbd_net::ValueType::F32)?.write(&folder.join("pruned.safetensors"))?;
//! use candle_core::{Device, Module, Tensor};
//!
//! let net = vbd_prune::SparseNet::load(folder.join("pruned.safetensors"))?;
//! let pixels = Tensor::new(&[[[[0_u8, 10], [20, 30]]]], &Device::Cpu)?;
//! let logits = net.forward(&pixels)?;
//! assert_eq!(logits.to_vec2::<f32>()?, [[20.5, 20.0]]);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`open`] reads whatever this program writes; [`prune`] makes a [`vbd_net::PrunedFile`] of it.
//! - [`Report`] tells of a net; [`SparseNet`] runs it as a Candle module, [`bench`](mod@bench) times it.
//! - [`vbd_net`] has the net itself, its file, and the runtime.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests compare exactly"))]

pub mod bench;
pub mod error;
pub mod module;
mod open;
mod origin;
pub mod report;
mod sparse_net;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod testing;
mod weights;

pub use error::{Error, Result};
pub use module::{
    SaveOptions, SparseConv2d, SparseLinear, save_sparse, sparse_conv2d, sparse_linear,
    sparse_var_builder,
};
pub use open::{Opened, open};
pub use report::Report;
pub use sparse_net::{DenseNet, Prediction, SparseNet};
pub use weights::{PruneOptions, prune, prune_checkpoint};
