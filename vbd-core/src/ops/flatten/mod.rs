//! Flattening of an image. Kernels need no operation for it.

mod candle;

pub(super) use candle::candle;
