//! Building blocks of the runtime's kernels: functions on slices with SIMD through `pulp`, without
//! branches on the instruction set and without allocation.
//!
//! Every kernel starts an output's sum with its bias and adds the products in one order, fused
//! where the machine fuses: in the order of inputs, or for convolutions in that of
//! `ops/conv2d/run/taps.rs`, where products with 0 may be skipped. All kernels therefore give the
//! same bits, and outputs do not depend on kernel, batch or number of threads.

mod pixel;
mod transpose;

use pulp::Simd;

pub use pixel::Pixel;
pub(super) use transpose::{Transpose, logits};

/// Samples per vector of the widest instruction set; batches are processed in multiples of it.
pub(crate) const LANES: usize = 16;

/// Computes `a b + c` for scalars, rounded like the vectors of `S`.
#[inline(always)]
pub(crate) fn mul_add<S: Simd>(_simd: S, a: f32, b: f32, c: f32) -> f32 {
    // AVX2, AVX-512 and NEON fuse; the scalar fall-back does not.
    if S::F32_LANES > 4 || cfg!(target_arch = "aarch64") {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// Returns instruction sets of this machine for tests: the best, AVX2 if there is a better one, and
/// scalar.
#[doc(hidden)]
pub fn arches() -> Vec<pulp::Arch> {
    let mut arches = vec![pulp::Arch::new(), pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    arches.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    arches
}
