//! `max(x, 0)` with gradient 0 at 0.

mod candle;
mod cpu;

pub(super) use candle::candle;
pub(super) use cpu::{Cpu, backward};
