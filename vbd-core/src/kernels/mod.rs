//! The step's mathematics as functions over slices: SIMD, scratch passed in, no Candle types.
//!
//! Activations are feature-major, `[features, batch]`: SIMD lanes are samples, and the rows of a
//! weight own contiguous rows of its output. Loops are plain code inside `pulp`'s dispatch, which
//! compiles them once for each instruction set and picks one at run time.

pub(crate) mod gemm;
pub(crate) mod loss;
pub(crate) mod math;
pub(crate) mod reparameterise;
pub(crate) mod update;

/// Runs `body` compiled for the best instruction set of this machine; mark it `#[inline(always)]`.
///
/// `Arch::dispatch` takes closures too, but by `FnOnce`, whose shim for a closure that only borrows
/// is a function of its own, compiled without the instruction set.
#[inline(always)]
pub(crate) fn simd(body: impl FnMut()) {
    struct Body<F>(F);

    impl<F: FnMut()> pulp::WithSimd for Body<F> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(mut self, _simd: S) {
            (self.0)();
        }
    }

    pulp::Arch::new().dispatch(Body(body));
}

/// The sum of a slice, in 16 partial sums of fixed order.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let chunks = values.chunks_exact(16);
    for (sum, value) in sums.iter_mut().zip(chunks.remainder()) {
        *sum += value;
    }
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().sum()
}
