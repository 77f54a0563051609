//! `ln(1 + e^x)`.

mod candle;
mod cpu;

pub(super) use candle::candle;
pub(super) use cpu::Cpu;
