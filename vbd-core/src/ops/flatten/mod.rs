//! An image as a vector: by kernels it is one already.

mod candle;

pub(super) use candle::candle;
