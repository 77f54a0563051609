//! What the runtime's kernels share: functions over slices, SIMD through `pulp`, no branches on the instruction
//! set, no allocation.
//!
//! Every kernel starts an output's sum with its bias and adds the products in one order, fused where the
//! machine fuses: that of their inputs, in convolutions that of `ops/conv2d/run/taps.rs`, where products with 0 may be left out. So all of them give the
//! same bits, and a sample's logits do not depend on which kernel, what batch or how many threads computed
//! them.

mod pixel;
mod transpose;

use pulp::Simd;

pub use pixel::Pixel;
pub(super) use transpose::{Transpose, logits};

/// Samples in a vector of the widest instruction set; batches go through in multiples of it.
pub(crate) const LANES: usize = 16;

/// `a b + c` of single numbers, rounded as the vectors of `S` round it.
#[inline(always)]
pub(crate) fn mul_add<S: Simd>(_simd: S, a: f32, b: f32, c: f32) -> f32 {
    // AVX2, AVX-512 and NEON fuse; the scalar fall-back does not.
    if S::F32_LANES > 4 || cfg!(target_arch = "aarch64") {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// The instruction sets of this machine: its best, AVX2 where there is more, and none.
#[doc(hidden)]
pub fn arches() -> Vec<pulp::Arch> {
    let mut arches = vec![pulp::Arch::new(), pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    arches.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    arches
}
