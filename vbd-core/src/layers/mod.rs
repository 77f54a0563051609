//! Variational layers as Candle modules, for any device and any model.
//!
//! `Module::forward` computes the test-time mean with pruned weights at zero. `sample` computes a
//! training draw by local reparameterisation. The prior is an argument of `kl` only.
//!
//! A complete training loop:
//!
//! ```
//! use candle_core::{DType, Device, Module, Tensor};
//! use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap};
//! use vbd_core::layers::{Noise, VariationalConfig, variational_linear};
//! use vbd_core::prior::Prior;
//!
//! let map = VarMap::new();
//! let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
//! let fc1 = variational_linear(3, 1, &VariationalConfig::default(), vb.pp("fc1"))?;
//!
//! let x = Tensor::new(&[[1.0_f32, 0.0, 2.0], [0.0, 1.0, 1.0]], &Device::Cpu)?;
//! let y = Tensor::new(&[[2.0_f32], [1.0]], &Device::Cpu)?;
//! let variables = ["fc1.weight", "fc1.log_sigma2", "fc1.bias"];
//! let variables = variables.map(|name| map.data().lock().unwrap()[name].clone());
//! // No weight decay: it would pull log_sigma2 towards 0.
//! let params = ParamsAdamW { lr: 0.05, weight_decay: 0.0, ..ParamsAdamW::default() };
//! let mut adam = AdamW::new(variables.to_vec(), params)?;
//! let noise = Noise::new(0);
//! for step in 0..200 {
//!     let nll = (fc1.sample(&x, &noise.step(step))? - &y)?.sqr()?.mean_all()?;
//!     let kl = fc1.kl(Prior::Hierarchical)?; // times kl_scale / N, N training samples
//!     adam.backward_step(&(nll + (kl * (1.0 / 100.0))?)?)?;
//! }
//! let error = (fc1.forward(&x)? - &y)?.abs()?.max_all()?.to_scalar::<f32>()?;
//! assert!(error < 0.3, "{error}");
//! # Ok::<(), candle_core::Error>(())
//! ```

mod builder;
mod claims;
mod conv2d;
mod dense;
mod linear;
mod max_pool;
mod noise;
mod noise_gate;
mod variational;

pub(crate) use builder::draw_theta;
pub use builder::{Alpha, VariationalConfig, noise_gate, variational_conv2d, variational_linear};
pub use conv2d::{Conv2dMap, VariationalConv2d};
pub use dense::{make_variational, variational_from_conv2d, variational_from_linear};
pub use linear::{LinearMap, VariationalLinear};
pub use max_pool::max_pool2d;
pub use noise::{Noise, StepNoise};
pub use noise_gate::NoiseGate;
pub(crate) use noise_gate::{gated, multiply};
pub use variational::{LayerOptions, Masking, Posterior, Spread, Variational, WeightedMap};
pub(crate) use variational::{alive_rows, drawn, moments, sample};
