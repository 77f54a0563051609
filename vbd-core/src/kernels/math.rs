//! Elementary f32 functions on vectors of any width.
//!
//! Every step is one IEEE operation or a fused multiply-add, so scalar code, AVX2, AVX-512 and NEON
//! give the same bits. Coefficients: Cephes (`expf`, `logf`, `sinf`, `cosf`).

use pulp::{Scalar, Simd};

use super::vector::{F32s, U32s};

/// Adding and subtracting this rounds to the nearest integer, which is then in the low bits.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// Computes `e^x` within 2 units in the last place; `x` is clamped to [-87, 88].
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: F32s<S>) -> F32s<S> {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.horner(x.like(std::f32::consts::LOG2_E), ROUND);
    let n = shifted - x.like(ROUND);
    // ln 2 in two parts, the first exact in few bits.
    let r = n.mul_add(x.like(-0.693_359_4), x);
    let r = n.mul_add(x.like(2.121_944_4e-4), r);
    let p = x.like(1.987_569_1e-4);
    let p = p.horner(r, 1.398_2e-3);
    let p = p.horner(r, 8.333_452e-3);
    let p = p.horner(r, 4.166_579_6e-2);
    let p = p.horner(r, 1.666_666_5e-1);
    let p = p.horner(r, 0.5);
    let p = p.mul_add(r * r, r) + x.like(1.0);
    let exponent = (shifted.bits() - x.like(ROUND).bits()).shl(23);
    (p.bits() + exponent).float_from_bits()
}

/// Computes `ln x` within 2 units in the last place, for finite `x` that are not negative; -inf at
/// 0. Below the smallest normal number the result is only guaranteed to be below -87.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "x = m 2^e, as in the books")]
pub(crate) fn ln<S: Simd>(x: F32s<S>) -> F32s<S> {
    // x = m 2^e with m in [sqrt(1/2), sqrt(2)); `biased` is e + 127, which is not negative
    const SQRT_HALF: u32 = 0x3f35_04f3;
    const ONE: u32 = 0x3f80_0000;
    let bits = x.bits();
    let biased = (bits + bits.like(ONE.wrapping_sub(SQRT_HALF))).shr(23);
    let exponent = (biased - biased.like(127)).shl(23);
    let m = (bits - exponent).float_from_bits() - x.like(1.0);
    let e = biased.small_to_float() - x.like(127.0);
    let p = x.like(7.037_683_6e-2);
    let p = p.horner(m, -1.151_461e-1);
    let p = p.horner(m, 1.167_699_9e-1);
    let p = p.horner(m, -1.242_014_1e-1);
    let p = p.horner(m, 1.424_932_3e-1);
    let p = p.horner(m, -1.666_805_7e-1);
    let p = p.horner(m, 2.000_071_5e-1);
    let p = p.horner(m, -2.499_999_4e-1);
    let p = p.horner(m, 0.333_333_3);
    let m2 = m * m;
    let y = m2 * m * p;
    let y = e.mul_add(x.like(-2.121_944_4e-4), y);
    let y = m2.mul_add(x.like(-0.5), y);
    let y = e.mul_add(x.like(0.693_359_4), m + y);
    x.equals(x.like(0.0)).select(x.like(f32::NEG_INFINITY), y)
}

/// [`exp`] of one value.
#[cfg(test)]
pub(crate) fn exp_one(x: f32) -> f32 {
    exp(F32s::new(Scalar, x)).lanes()
}

/// [`ln`] of one value.
pub(crate) fn ln_one(x: f32) -> f32 {
    ln(F32s::new(Scalar, x)).lanes()
}

/// `cos(pi t)` and `sin(pi t)`.
#[derive(Clone, Copy)]
pub(crate) struct CosSin<S: Simd> {
    pub(crate) cos: F32s<S>,
    pub(crate) sin: F32s<S>,
}

/// Computes cosine and sine of `pi t`, for `t` in [-1, 1].
#[inline(always)]
pub(crate) fn cos_sin_pi<S: Simd>(t: F32s<S>) -> CosSin<S> {
    let shifted = t.horner(t.like(2.0), ROUND);
    let quarter = shifted.bits();
    let r = (shifted - t.like(ROUND)).mul_add(t.like(-0.5), t) * t.like(std::f32::consts::PI);
    let r2 = r * r;
    let s = t.like(-1.951_529_6e-4).horner(r2, 8.332_161e-3);
    let s = s.horner(r2, -1.666_665_5e-1);
    let s = s.mul_add(r2 * r, r);
    let c = t.like(2.443_315_7e-5).horner(r2, -1.388_731_6e-3);
    let c = c.horner(r2, 4.166_664_6e-2);
    let c = c.mul_add(r2 * r2, r2.horner(t.like(-0.5), 1.0));
    // A quarter turn swaps the two; the half turns flip signs.
    let swap = quarter.and(1).is(1);
    let cos_sign = (quarter + quarter.like(1)).and(2).shl(30);
    let sin_sign = quarter.and(2).shl(30);
    CosSin {
        cos: with_sign(swap.select(s, c), cos_sign),
        sin: with_sign(swap.select(c, s), sin_sign),
    }
}

#[inline(always)]
fn with_sign<S: Simd>(x: F32s<S>, sign: U32s<S>) -> F32s<S> {
    x.bits().xor(sign).float_from_bits()
}

/// Converts each value, below `2^31`, to the nearest f32.
#[inline(always)]
pub(crate) fn to_float<S: Simd>(x: U32s<S>) -> F32s<S> {
    // Both halves are exact, and so is the product: the sum is rounded once.
    let (high, low) = (x.shr(16).small_to_float(), x.and(0xffff).small_to_float());
    high.mul_add(high.like(65_536.0), low)
}

/// Converts each value, as i32, to the nearest f32.
#[inline(always)]
pub(crate) fn signed_to_float<S: Simd>(x: U32s<S>) -> F32s<S> {
    let shifted = x.xor(x.like(1 << 31));
    let high = shifted.shr(16).small_to_float();
    let low = shifted.and(0xffff).small_to_float();
    (high - high.like(32_768.0)).mul_add(high.like(65_536.0), low)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact limits")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "f64 references of f32 values"
)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;
    use crate::kernels::vector::{each_vector, kernel};

    fn assert_close(found: f32, expected: f64, what: f32) {
        let unit = f64::from(expected as f32).abs().max(1e-30) * f64::from(f32::EPSILON);
        assert!(
            (f64::from(found) - expected).abs() <= 4.0 * unit,
            "{what}: {found} {expected}"
        );
    }

    #[test]
    fn exp_and_ln_agree_with_f64() {
        for i in -4000..2000 {
            let x = i as f32 * 0.0123;
            assert_close(exp_one(x), f64::from(x).exp(), x);
            let y = exp_one(x);
            let reference = f64::from(y).ln();
            if reference.abs() > 1e-2 {
                assert_close(ln_one(y), reference, y);
            }
        }
        assert_eq!(ln_one(0.0), f32::NEG_INFINITY);
        assert_eq!(ln_one(1.0), 0.0);
    }

    #[test]
    fn cosine_and_sine_agree_with_f64_on_the_whole_circle() {
        for i in -1000..=1000 {
            let t = i as f32 / 1000.0;
            let angle = std::f64::consts::PI * f64::from(t);
            let CosSin { cos, sin } = cos_sin_pi(F32s::new(Scalar, t));
            let (cos, sin) = (cos.lanes(), sin.lanes());
            assert!((f64::from(cos) - angle.cos()).abs() < 3e-7, "{t}");
            assert!((f64::from(sin) - angle.sin()).abs() < 3e-7, "{t}");
        }
    }

    #[test]
    #[expect(
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        reason = "the machine's own conversions"
    )]
    fn integers_become_the_nearest_floats() {
        let words = (0..2000_u32).map(|i| i.wrapping_mul(2_654_435_761).rotate_left(i % 32));
        for word in words.chain([0, 1, u32::MAX, 1 << 31, (1 << 31) - 1, (1 << 24) + 1]) {
            let vector = U32s::new(Scalar, word);
            assert_eq!(to_float(vector.shr(1)).lanes(), (word >> 1) as f32);
            assert_eq!(signed_to_float(vector).lanes(), word as i32 as f32);
        }
    }

    kernel! {
        fn all_of<S>(simd, exps: &mut [f32], lns: &mut [f32], cosines: &mut [f32], sines: &mut [f32], x: &[f32]) {
            each_vector(simd, [exps, lns, cosines, sines], [x], #[inline(always)] |_, [x]| {
                let CosSin { cos, sin } = cos_sin_pi(x);
                [exp(x * x.like(50.0)), ln(x.abs()), cos, sin]
            });
        }
    }

    #[test]
    fn every_width_gives_the_same_bits() {
        let x = test_values(9, 1000);
        same_bits(|| {
            let mut out = [const { Vec::new() }; 4];
            out.fill(vec![0.0; x.len()]);
            let [exps, lns, cosines, sines] = &mut out;
            all_of(exps, lns, cosines, sines, &x);
            out
        });
    }
}
