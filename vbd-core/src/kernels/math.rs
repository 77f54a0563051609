//! Elementary functions in f32, written so that loops over them become SIMD code.
//!
//! Every step is one IEEE operation or a fused multiply-add, so that scalar code, AVX2, AVX-512 and
//! NEON give the same bits. Coefficients: Cephes (`expf`, `logf`, `sinf`, `cosf`).

/// Adding and subtracting it rounds to the nearest integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23

/// `e^x`, within 2 units in the last place; `x` is limited to [-87, 88].
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in few bits.
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_1e-4_f32;
    let p = p.mul_add(r, 1.398_2e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    f32::from_bits(p.to_bits().wrapping_add(exponent))
}

/// `ln x`, within 2 units in the last place, for `x` finite and not negative; -inf at 0. Below the
/// smallest normal number it is only known to lie under -87.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "x = m 2^e, as in the books")]
pub(crate) fn ln(x: f32) -> f32 {
    // x = m 2^e with m in [sqrt(1/2), sqrt(2))
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = x.to_bits();
    #[expect(
        clippy::cast_possible_wrap,
        reason = "an exponent, as two's complement"
    )]
    let e = (bits.wrapping_sub(SQRT_HALF) as i32) >> 23;
    #[expect(clippy::cast_sign_loss, reason = "an exponent, back into its bits")]
    let m = f32::from_bits(bits.wrapping_sub((e << 23) as u32)) - 1.0;
    let e = e as f32;
    let p = 7.037_683_6e-2_f32;
    let p = p.mul_add(m, -1.151_461e-1);
    let p = p.mul_add(m, 1.167_699_9e-1);
    let p = p.mul_add(m, -1.242_014_1e-1);
    let p = p.mul_add(m, 1.424_932_3e-1);
    let p = p.mul_add(m, -1.666_805_7e-1);
    let p = p.mul_add(m, 2.000_071_5e-1);
    let p = p.mul_add(m, -2.499_999_4e-1);
    let p = p.mul_add(m, 0.333_333_3);
    let m2 = m * m;
    let y = m2 * m * p;
    let y = e.mul_add(-2.121_944_4e-4, y);
    let y = m2.mul_add(-0.5, y);
    let y = e.mul_add(0.693_359_4, m + y);
    if x == 0.0 { f32::NEG_INFINITY } else { y }
}

/// `(cos(pi t), sin(pi t))` for `t` in [-1, 1].
#[inline(always)]
pub(crate) fn cos_sin_pi(t: f32) -> (f32, f32) {
    let shifted = t.mul_add(2.0, ROUND);
    let quarter = shifted.to_bits();
    let r = (shifted - ROUND).mul_add(-0.5, t) * std::f32::consts::PI;
    let r2 = r * r;
    let s = (-1.951_529_6e-4_f32).mul_add(r2, 8.332_161e-3);
    let s = s.mul_add(r2, -1.666_665_5e-1);
    let s = s.mul_add(r2 * r, r);
    let c = 2.443_315_7e-5_f32.mul_add(r2, -1.388_731_6e-3);
    let c = c.mul_add(r2, 4.166_664_6e-2);
    let c = c.mul_add(r2 * r2, r2.mul_add(-0.5, 1.0));
    // A quarter turn swaps the two; the half turns flip signs.
    let swap = quarter & 1 == 1;
    let (cos, sin) = if swap { (s, c) } else { (c, s) };
    let cos_sign = (quarter.wrapping_add(1) & 2) << 30;
    let sin_sign = (quarter & 2) << 30;
    (
        f32::from_bits(cos.to_bits() ^ cos_sign),
        f32::from_bits(sin.to_bits() ^ sin_sign),
    )
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact limits")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "f64 references of f32 values"
)]
mod tests {
    use super::*;

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
            assert_close(exp(x), f64::from(x).exp(), x);
            let y = exp(x);
            let reference = f64::from(y).ln();
            if reference.abs() > 1e-2 {
                assert_close(ln(y), reference, y);
            }
        }
        assert_eq!(ln(0.0), f32::NEG_INFINITY);
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn cosine_and_sine_agree_with_f64_on_the_whole_circle() {
        for i in -1000..=1000 {
            let t = i as f32 / 1000.0;
            let angle = std::f64::consts::PI * f64::from(t);
            let (cos, sin) = cos_sin_pi(t);
            assert!((f64::from(cos) - angle.cos()).abs() < 3e-7, "{t}");
            assert!((f64::from(sin) - angle.sin()).abs() < 3e-7, "{t}");
        }
    }
}
