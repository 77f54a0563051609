//! The step's mathematics as functions over slices: SIMD, scratch passed in, no Candle types.
//!
//! Activations are feature-major, `[features, batch]`: SIMD lanes are samples, and the rows of a
//! weight own contiguous rows of its output. Loops are plain code inside `pulp`'s dispatch, which
//! compiles them once for each instruction set and picks one at run time.

pub(crate) mod gate;
pub(crate) mod gemm;
pub(crate) mod loss;
pub(crate) mod math;
pub(crate) mod pool;
pub(crate) mod reparameterise;
pub(crate) mod sparse;
pub(crate) mod tile;
pub(crate) mod update;

/// Activations are padded to a multiple of this many samples: the widest vector. What stands in the
/// padding is finite, and its gradient is 0.
pub(crate) const LANES: usize = 16;

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

/// `out[unit][sample] = rows[sample][unit] + shift[unit]`; samples beyond those of `rows` get the
/// shift alone.
///
/// # Shapes
/// - `out`: `[units, lanes]`; `rows`: `[samples, width]`, `width` at least `units`
pub(crate) fn transpose(
    (out, lanes): (&mut [f32], usize),
    (rows, width): (&[f32], usize),
    shift: &[f32],
) {
    for ((unit, out), &shift) in out.chunks_exact_mut(lanes).enumerate().zip(shift) {
        let (filled, rest) = out.split_at_mut(rows.len() / width);
        for (out, &value) in filled.iter_mut().zip(rows[unit..].iter().step_by(width)) {
            *out = value + shift;
        }
        rest.fill(shift);
    }
}

/// Values between -1 and 1, for tests.
#[cfg(test)]
pub(crate) fn test_values(seed: u64, len: usize) -> Vec<f32> {
    use crate::noise::{NoiseKey, Stream};
    let mut values = vec![0.0; len];
    NoiseKey {
        seed,
        step: 0,
        stream: Stream::Other(0),
    }
    .fill_uniform(0, &mut values);
    values.into_iter().map(|value| 2.0 * value - 1.0).collect()
}
