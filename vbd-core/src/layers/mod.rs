//! Variational layers as Candle modules, for any device and anyone's own model.
//!
//! `Module::forward` is the test-time mean with pruned weights at zero; `sample` is a training draw,
//! by local reparameterisation. Layers do not know which prior they serve.

mod builder;
mod conv2d;
mod linear;
mod max_pool;
mod noise_gate;
mod variational;

pub(crate) use builder::draw_theta;
pub use builder::{
    Conv2dConfig, VariationalConfig, noise_gate, variational_conv2d, variational_linear,
};
pub use conv2d::{Conv2d, VariationalConv2d};
pub use linear::{Linear, VariationalLinear};
pub use max_pool::max_pool2d;
pub use noise_gate::NoiseGate;
pub(crate) use noise_gate::{gated, multiply};
pub use variational::{Masking, Variational, WeightedMap};
pub(crate) use variational::{alive_rows, drawn, moments, sample};
