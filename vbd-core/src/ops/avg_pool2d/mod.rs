//! Average pooling.

mod candle;
mod cpu;

pub(super) use candle::candle;
pub(super) use cpu::Cpu;
