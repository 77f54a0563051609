//! Where a kernel meets the instruction set that this process uses.

use pulp::WithSimd;
use vbd_net::simd;

/// Runs a kernel on this process's instruction set.
#[inline(always)]
pub(crate) fn dispatch<Kernel: WithSimd>(kernel: Kernel) -> Kernel::Output {
    #[cfg(test)]
    if let Some(width) = width::forced() {
        return width.dispatch(kernel);
    }
    simd::arch().dispatch(kernel)
}

/// Kernels under vectors of every width, in one process.
#[cfg(test)]
pub(crate) mod width {
    use std::cell::Cell;

    use pulp::{Simd, WithSimd};

    /// Lanes of the vectors that kernels of this thread are run with.
    #[derive(Debug, Clone, Copy)]
    pub(crate) enum Width {
        One,
        /// As NEON has them, here arrays.
        Four,
        /// As AVX2 has them, where this machine does.
        #[cfg(target_arch = "x86_64")]
        Eight(pulp::x86::V3),
        /// As AVX-512 has them, here arrays.
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

    /// A kernel for other vectors than those of the set that it is compiled for.
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

    /// What `kernel` gives under each width; all must be the same bits.
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
