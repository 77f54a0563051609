//! Batch normalisation: by the statistics of the batch in training, which running averages follow,
//! and by these in evaluation.

mod candle;
mod cpu;

pub(crate) use candle::CandleNorm;
pub(crate) use cpu::{BatchSize, CpuNorm};
