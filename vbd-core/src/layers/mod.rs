//! Variational layers as Candle modules, for any device and any model.
//!
//! `Module::forward` computes the test-time mean with pruned weights at zero. `sample` and
//! `sample_masked` compute a training draw by local reparameterisation. The prior is an argument of
//! `kl` only.
//!
//! The loss of a batch is the mean `nll` per sample plus `kl_scale / N` times the `kl` of all layers,
//! for N training samples. `kl_scale` is 0 at first, while the network learns, and then rises to 1: a
//! warm-up from 2.5 % to 10 % of the run suits small networks. While it is 0, draw with `sample`, which
//! masks nothing. Once it is positive, draw with `sample_masked`, which treats weights above the
//! threshold as pruned: the network then trains as it will be used, and ends up several times
//! sparser. A weight is kept if `log_alpha = log_sigma2 - 2 ln|theta|` is below the threshold; count
//! with `keep_mask`. Train until the number of kept weights stops falling: a larger learning rate or
//! more steps prune more.
//!
//! A complete training loop, with a network of two layers on made-up data:
//!
//! ```
//! use candle_core::{DType, Device, Module, Tensor};
//! use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap, loss};
//! use vbd_core::layers::{Noise, VariationalConfig, variational_linear};
//! use vbd_core::prior::Prior;
//!
//! let map = VarMap::new();
//! let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
//! let config = VariationalConfig::default();
//! let fc1 = variational_linear(6, 16, &config, vb.pp("fc1"))?;
//! let fc2 = variational_linear(16, 2, &config, vb.pp("fc2"))?;
//!
//! // The class is the larger of the first two features; the others are of no use.
//! let (n, steps) = (100, 400);
//! let features = (0..n * 6).map(|i| ((i * i * 7 + i * 31) % 97) as f32 / 48.0 - 1.0);
//! let features: Vec<f32> = features.collect();
//! let classes = features.chunks(6).map(|x| u32::from(x[1] > x[0]));
//! let classes = Tensor::from_iter(classes.collect::<Vec<_>>(), &Device::Cpu)?;
//! let x = Tensor::from_vec(features, (n, 6), &Device::Cpu)?;
//!
//! // In a fixed order: that of `all_vars` changes from run to run. Without weight decay, which would
//! // pull log_sigma2 towards 0.
//! let names = ["fc1.weight", "fc1.log_sigma2", "fc1.bias", "fc2.weight", "fc2.log_sigma2", "fc2.bias"];
//! let variables = names.map(|name| map.data().lock().unwrap()[name].clone());
//! let params = ParamsAdamW { lr: 0.02, weight_decay: 0.0, ..ParamsAdamW::default() };
//! let mut adam = AdamW::new(variables.to_vec(), params)?;
//! let noise = Noise::new(0);
//! for step in 0..steps {
//!     let progress = f64::from(step) / f64::from(steps);
//!     let kl_scale = ((progress - 0.1) / 0.2).clamp(0.0, 1.0);
//!     let noise = noise.step(step);
//!     let logits = if kl_scale > 0.0 {
//!         fc2.sample_masked(&fc1.sample_masked(&x, &noise)?.relu()?, &noise)?
//!     } else {
//!         fc2.sample(&fc1.sample(&x, &noise)?.relu()?, &noise)?
//!     };
//!     let nll = loss::cross_entropy(&logits, &classes)?;
//!     let kl = (fc1.kl(Prior::Hierarchical)? + fc2.kl(Prior::Hierarchical)?)?;
//!     adam.backward_step(&(nll + (kl * (kl_scale / n as f64))?)?)?;
//! }
//!
//! let logits = fc2.forward(&fc1.forward(&x)?.relu()?)?;
//! let right = logits.argmax(1)?.eq(&classes)?.to_dtype(DType::F32)?.mean_all()?;
//! let kept = fc1.keep_mask()?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
//! assert!(right.to_scalar::<f32>()? > 0.9, "{right}");
//! assert!(kept < 48.0, "{kept} of 96 weights");
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
mod window_map;

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
pub(crate) use window_map::{WindowMap, lines};
