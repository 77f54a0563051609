//! The Candle compositions: gradients against finite differences in f64, draws against weight
//! sampling.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod check;
mod conv2d;
mod linear;
mod max_pool;
mod noise_gate;
#[path = "../support/mod.rs"]
mod support;
mod windows;
