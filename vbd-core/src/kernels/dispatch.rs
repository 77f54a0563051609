//! Dispatches kernels to the instruction set of this process.

use pulp::WithSimd;
use vbd_net::simd;

/// Runs a kernel on the instruction set of this process.
#[inline(always)]
pub(crate) fn dispatch<Kernel: WithSimd>(kernel: Kernel) -> Kernel::Output {
    #[cfg(test)]
    if let Some(width) = width::forced() {
        return width.dispatch(kernel);
    }
    simd::arch().dispatch(kernel)
}

/// Runs kernels with vectors of every width, for tests.
#[cfg(test)]
pub(crate) mod width {
    use std::cell::Cell;

    use pulp::{Simd, WithSimd};

    /// Vector width of kernels on this thread.
    #[derive(Debug, Clone, Copy)]
    pub(crate) enum Width {
        One,
        /// As in NEON, emulated with arrays.
        Four,
        /// As in AVX2, if available.
        #[cfg(target_arch = "x86_64")]
        Eight(pulp::x86::V3),
        /// As in AVX-512, emulated with arrays.
        Sixteen,
    }

    thread_local! {
        static FORCED: Cell<Option<Width>> = const { Cell::new(None) };
    }

    pub(super) fn forced() -> Option<Width> {
        FORCED.get()
    }

    impl Width {
        pub(super) fn dispatch<Kernel: WithSimd>(self, kernel: Kernel) -> Kernel::Output {
            match self {
                Self::One => pulp::Scalar.vectorize(kernel),
                Self::Four => pulp::Scalar.vectorize(As {
                    kernel,
                    simd: pulp::Scalar128b,
                }),
                #[cfg(target_arch = "x86_64")]
                Self::Eight(simd) => Simd::vectorize(simd, kernel),
                Self::Sixteen => pulp::Scalar.vectorize(As {
                    kernel,
                    simd: pulp::Scalar512b,
                }),
            }
        }

        fn all() -> Vec<Self> {
            let mut widths = vec![Self::One, Self::Four, Self::Sixteen];
            #[cfg(target_arch = "x86_64")]
            widths.extend(pulp::x86::V3::try_new().map(Self::Eight));
            widths
        }
    }

    /// A kernel with other vectors than those of the instruction set it is compiled for.
    struct As<Kernel, S> {
        kernel: Kernel,
        simd: S,
    }

    impl<Kernel: WithSimd, Vectors: Simd> WithSimd for As<Kernel, Vectors> {
        type Output = Kernel::Output;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> Self::Output {
            self.kernel.with_simd(self.simd)
        }
    }

    /// Runs `kernel` under each width and checks that the results are equal bit for bit. Returns
    /// the result.
    pub(crate) fn same_bits<T: PartialEq + std::fmt::Debug>(kernel: impl Fn() -> T) -> T {
        let results = Width::all().into_iter().map(|width| {
            FORCED.set(Some(width));
            let result = kernel();
            FORCED.set(None);
            (width, result)
        });
        let mut results: Vec<(Width, T)> = results.collect();
        let first = results.remove(0).1;
        for (width, result) in results {
            assert_eq!(result, first, "{width:?}");
        }
        first
    }
}
