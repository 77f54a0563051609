//! Vectors with operators on any instruction set of `pulp`, loops over slices, and
//! the macro `kernel!`, which generates functions from them.
//!
//! Everything here is `#[inline(always)]`: code that is not inlined is not compiled for the
//! instruction set.
#![expect(
    clippy::needless_range_loop,
    reason = "arrays of vectors are indexed alike, and an iterator's closure is not inlined for sure"
)]

use std::ops::{Add, Div, Mul, Neg, Sub};

use pulp::Simd;

/// Number of partial sums of a sum over samples, for any vector width, so that every instruction
/// set adds in the same order.
pub(crate) const PARTIAL_SUMS: usize = 16;

/// A vector of f32.
#[derive(Clone, Copy)]
pub(crate) struct F32s<S: Simd> {
    simd: S,
    lanes: S::f32s,
}

/// A vector of u32.
#[derive(Clone, Copy)]
pub(crate) struct U32s<S: Simd> {
    simd: S,
    lanes: S::u32s,
}

/// Result of a comparison.
#[derive(Clone, Copy)]
pub(crate) struct Mask<S: Simd> {
    simd: S,
    lanes: S::m32s,
}

macro_rules! operators {
    ($vector:ident: $($operator:ident $method:ident $function:ident),*) => {$(
        impl<S: Simd> $operator for $vector<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { lanes: self.simd.$function(self.lanes, other.lanes), ..self }
            }
        }
    )*};
}

operators!(F32s: Add add add_f32s, Sub sub sub_f32s, Mul mul mul_f32s, Div div div_f32s);
operators!(U32s: Add add add_u32s, Sub sub sub_u32s);

impl<S: Simd> Neg for F32s<S> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self {
            lanes: self.simd.neg_f32s(self.lanes),
            ..self
        }
    }
}

impl<S: Simd> F32s<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, lanes: S::f32s) -> Self {
        Self { simd, lanes }
    }

    #[inline(always)]
    pub(crate) fn splat(simd: S, value: f32) -> Self {
        Self::new(simd, simd.splat_f32s(value))
    }

    #[inline(always)]
    pub(crate) fn zero(simd: S) -> Self {
        Self::splat(simd, 0.0)
    }

    /// Returns a vector with the same value in every lane.
    #[inline(always)]
    pub(crate) fn like(self, value: f32) -> Self {
        Self::splat(self.simd, value)
    }

    #[inline(always)]
    pub(crate) fn lanes(self) -> S::f32s {
        self.lanes
    }

    /// Computes `self * factor + addend`, rounded once.
    #[inline(always)]
    pub(crate) fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self {
            lanes: self
                .simd
                .mul_add_f32s(self.lanes, factor.lanes, addend.lanes),
            ..self
        }
    }

    /// [`F32s::mul_add`] with constants, a step of Horner's scheme.
    #[inline(always)]
    pub(crate) fn horner(self, x: Self, coefficient: f32) -> Self {
        self.mul_add(x, self.like(coefficient))
    }

    #[inline(always)]
    pub(crate) fn sqrt(self) -> Self {
        Self {
            lanes: self.simd.sqrt_f32s(self.lanes),
            ..self
        }
    }

    #[inline(always)]
    pub(crate) fn abs(self) -> Self {
        Self {
            lanes: self.simd.abs_f32s(self.lanes),
            ..self
        }
    }

    /// Clamps to a range. NaN stays NaN.
    #[inline(always)]
    pub(crate) fn clamp(self, least: f32, most: f32) -> Self {
        let (least, most) = (self.like(least), self.like(most));
        let raised = self.less_than(least).select(least, self);
        most.less_than(raised).select(most, raised)
    }

    /// Computes ReLU. NaN stays NaN.
    #[inline(always)]
    pub(crate) fn relu(self) -> Self {
        self.where_positive(self)
    }

    /// Returns `value` where `self` is positive or NaN, else 0.
    #[inline(always)]
    pub(crate) fn where_positive(self, value: Self) -> Self {
        let zero = self.like(0.0);
        self.at_most(zero).select(zero, value)
    }

    #[inline(always)]
    fn mask(self, lanes: S::m32s) -> Mask<S> {
        Mask {
            simd: self.simd,
            lanes,
        }
    }

    #[inline(always)]
    pub(crate) fn less_than(self, other: Self) -> Mask<S> {
        self.mask(self.simd.less_than_f32s(self.lanes, other.lanes))
    }

    #[inline(always)]
    pub(crate) fn at_most(self, other: Self) -> Mask<S> {
        self.mask(self.simd.less_than_or_equal_f32s(self.lanes, other.lanes))
    }

    #[inline(always)]
    pub(crate) fn equals(self, other: Self) -> Mask<S> {
        self.mask(self.simd.equal_f32s(self.lanes, other.lanes))
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> U32s<S> {
        U32s::new(self.simd, self.simd.transmute_u32s_f32s(self.lanes))
    }
}

impl<S: Simd> U32s<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, lanes: S::u32s) -> Self {
        Self { simd, lanes }
    }

    #[inline(always)]
    pub(crate) fn splat(simd: S, value: u32) -> Self {
        Self::new(simd, simd.splat_u32s(value))
    }

    #[inline(always)]
    pub(crate) fn like(self, value: u32) -> Self {
        Self::splat(self.simd, value)
    }

    #[inline(always)]
    pub(crate) fn lanes(self) -> S::u32s {
        self.lanes
    }

    #[inline(always)]
    pub(crate) fn shl(self, bits: u32) -> Self {
        let amount = self.simd.splat_u32s(bits);
        Self {
            lanes: self.simd.wrapping_dyn_shl_u32s(self.lanes, amount),
            ..self
        }
    }

    #[inline(always)]
    pub(crate) fn shr(self, bits: u32) -> Self {
        let amount = self.simd.splat_u32s(bits);
        Self {
            lanes: self.simd.wrapping_dyn_shr_u32s(self.lanes, amount),
            ..self
        }
    }

    #[inline(always)]
    pub(crate) fn and(self, bits: u32) -> Self {
        Self {
            lanes: self.simd.and_u32s(self.lanes, self.simd.splat_u32s(bits)),
            ..self
        }
    }

    #[inline(always)]
    pub(crate) fn or(self, bits: u32) -> Self {
        Self {
            lanes: self.simd.or_u32s(self.lanes, self.simd.splat_u32s(bits)),
            ..self
        }
    }

    #[inline(always)]
    pub(crate) fn xor(self, other: Self) -> Self {
        Self {
            lanes: self.simd.xor_u32s(self.lanes, other.lanes),
            ..self
        }
    }

    /// Returns the low and the high half of each product.
    #[inline(always)]
    pub(crate) fn widening_mul(self, factor: u32) -> (Self, Self) {
        let factor = self.simd.splat_u32s(factor);
        let (low, high) = self.simd.widening_mul_u32s(self.lanes, factor);
        (
            Self { lanes: low, ..self },
            Self {
                lanes: high,
                ..self
            },
        )
    }

    #[inline(always)]
    pub(crate) fn is(self, value: u32) -> Mask<S> {
        Mask {
            simd: self.simd,
            lanes: self
                .simd
                .equal_u32s(self.lanes, self.simd.splat_u32s(value)),
        }
    }

    #[inline(always)]
    pub(crate) fn float_from_bits(self) -> F32s<S> {
        F32s::new(self.simd, self.simd.transmute_f32s_u32s(self.lanes))
    }

    /// Converts each value, below `2^23`, to the nearest f32.
    #[inline(always)]
    pub(crate) fn small_to_float(self) -> F32s<S> {
        const TWO_23: f32 = 8_388_608.0;
        let shifted = self.or(TWO_23.to_bits()).float_from_bits();
        shifted - shifted.like(TWO_23)
    }
}

impl<S: Simd> Mask<S> {
    #[inline(always)]
    pub(crate) fn not(self) -> Self {
        Self {
            lanes: self.simd.not_m32s(self.lanes),
            ..self
        }
    }

    /// Returns `yes` where the mask is set, else `no`.
    #[inline(always)]
    pub(crate) fn select(self, yes: F32s<S>, no: F32s<S>) -> F32s<S> {
        F32s {
            lanes: self.simd.select_f32s(self.lanes, yes.lanes, no.lanes),
            ..yes
        }
    }

    /// Returns `value` where the mask is set, else 0. An infinity elsewhere has no effect.
    #[inline(always)]
    pub(crate) fn keep(self, value: F32s<S>) -> F32s<S> {
        self.select(value, value.like(0.0))
    }
}

/// Runs `body` over slices of equal length, a vector at a time. It receives the values of the
/// written and the read slices and returns new values of the former. The last vector is padded with
/// zeros.
#[inline(always)]
pub(crate) fn each_vector<S: Simd, const W: usize, const R: usize>(
    simd: S,
    written: [&mut [f32]; W],
    read: [&[f32]; R],
    body: impl Fn([F32s<S>; W], [F32s<S>; R]) -> [F32s<S>; W],
) {
    let len = written[0].len();
    let vectors = len / S::F32_LANES;
    let mut old = [F32s::zero(simd); W];
    let mut given = [F32s::zero(simd); R];
    let mut tails: [&mut [f32]; W] = std::array::from_fn(|_| &mut [][..]);
    let mut heads: [&mut [S::f32s]; W] = std::array::from_fn(|_| &mut [][..]);
    let mut read_heads: [&[S::f32s]; R] = [&[]; R];
    let mut read_tails: [&[f32]; R] = [&[]; R];
    for (n, slice) in written.into_iter().enumerate() {
        assert!(slice.len() == len, "slices of one length");
        let (head, tail) = S::as_mut_simd_f32s(slice);
        heads[n] = &mut head[..vectors];
        tails[n] = tail;
    }
    for (n, slice) in read.into_iter().enumerate() {
        assert!(slice.len() == len, "slices of one length");
        let (head, tail) = S::as_simd_f32s(slice);
        read_heads[n] = &head[..vectors];
        read_tails[n] = tail;
    }
    for at in 0..vectors {
        for n in 0..W {
            old[n] = F32s::new(simd, heads[n][at]);
        }
        for n in 0..R {
            given[n] = F32s::new(simd, read_heads[n][at]);
        }
        let new = body(old, given);
        for n in 0..W {
            heads[n][at] = new[n].lanes;
        }
    }
    if vectors * S::F32_LANES < len {
        for n in 0..W {
            old[n] = F32s::new(simd, simd.partial_load_f32s(tails[n]));
        }
        for n in 0..R {
            given[n] = F32s::new(simd, simd.partial_load_f32s(read_tails[n]));
        }
        let new = body(old, given);
        for n in 0..W {
            simd.partial_store_f32s(tails[n], new[n].lanes);
        }
    }
}

/// `N` sums over the same values as vectors of partial sums; lane `l` of vector `v` is partial sum
/// `v * LANES + l`.
pub(crate) struct PartialSums<S: Simd, const N: usize> {
    simd: S,
    vectors: [[F32s<S>; N]; PARTIAL_SUMS],
}

impl<S: Simd, const N: usize> PartialSums<S, N> {
    /// Vectors per sum.
    const VECTORS: usize = PARTIAL_SUMS / S::F32_LANES;

    #[inline(always)]
    pub(crate) fn zero(simd: S) -> Self {
        Self {
            simd,
            vectors: [[F32s::zero(simd); N]; PARTIAL_SUMS],
        }
    }

    /// Adds the result of `add` for each vector of the slices, which have equal length. The first
    /// value goes into the first partial sum.
    #[inline(always)]
    pub(crate) fn add<const R: usize>(
        &mut self,
        slices: [&[f32]; R],
        add: impl Fn([F32s<S>; R], [F32s<S>; N]) -> [F32s<S>; N],
    ) {
        let simd = self.simd;
        let len = slices[0].len();
        let (groups, vectors) = (len / PARTIAL_SUMS, len / S::F32_LANES);
        let mut values = [F32s::zero(simd); R];
        let mut heads: [&[S::f32s]; R] = [&[]; R];
        for n in 0..R {
            assert!(slices[n].len() == len, "slices of one length");
            heads[n] = &S::as_simd_f32s(slices[n]).0[..vectors];
        }
        for group in 0..groups {
            for part in 0..Self::VECTORS {
                for n in 0..R {
                    values[n] = F32s::new(simd, heads[n][group * Self::VECTORS + part]);
                }
                self.vectors[part] = add(values, self.vectors[part]);
            }
        }
        for part in 0..Self::VECTORS {
            let from = groups * PARTIAL_SUMS + part * S::F32_LANES;
            if from < len {
                let to = len.min(from + S::F32_LANES);
                for n in 0..R {
                    let rest = simd.partial_load_f32s(&slices[n][from..to]);
                    values[n] = F32s::new(simd, rest);
                }
                self.vectors[part] = add(values, self.vectors[part]);
            }
        }
    }

    /// Returns the sums.
    #[inline(always)]
    pub(crate) fn totals(self) -> [f32; N] {
        let mut totals = [0.0; N];
        for n in 0..N {
            let mut sums = [0.0; PARTIAL_SUMS];
            let (out, _) = S::as_mut_simd_f32s(&mut sums);
            for part in 0..Self::VECTORS {
                out[part] = self.vectors[part][n].lanes;
            }
            totals[n] = fold(sums);
        }
        totals
    }
}

/// Adds partial sums, halves to halves.
#[inline(always)]
pub(crate) fn fold(mut sums: [f32; PARTIAL_SUMS]) -> f32 {
    for half in [8, 4, 2, 1] {
        for n in 0..half {
            sums[n] += sums[n + half];
        }
    }
    // A wide vector that is filled up with zeros may turn -0 into 0.
    sums[0] + 0.0
}

/// Sums a slice.
#[inline(always)]
pub(crate) fn sum<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let mut sums = PartialSums::zero(simd);
    sums.add(
        [values],
        #[inline(always)]
        |[value], [sum]| [sum + value],
    );
    let [sum] = sums.totals();
    sum
}

/// Defines a function that is compiled for every instruction set. The body has `simd: S`.
///
/// In a disassembly, its code has the name `NAME::Kernel`, which `scripts/vectorised` looks for.
macro_rules! kernel {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident<$set:ident>(
        $simd:ident $(, $argument:ident: $type:ty)* $(,)?
    ) $(-> $output:ty)? $body:block) => {
        $(#[$meta])*
        $visibility fn $name($($argument: $type),*) $(-> $output)? {
            struct Kernel<Arguments>(Arguments);

            impl pulp::WithSimd for Kernel<($($type,)*)> {
                type Output = kernel!(@output $($output)?);

                #[inline(always)]
                fn with_simd<$set: pulp::Simd>(self, $simd: $set) -> Self::Output {
                    let ($($argument,)*) = self.0;
                    $body
                }
            }

            $crate::kernels::dispatch::dispatch(Kernel(($($argument,)*)))
        }
    };
    (@output) => { () };
    (@output $output:ty) => { $output };
}
pub(crate) use kernel;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    kernel! {
        fn sum_of<S>(simd, values: &[f32]) -> f32 {
            sum(simd, values)
        }
    }

    kernel! {
        fn twice_plus<S>(simd, out: &mut [f32], x: &[f32]) {
            each_vector(simd, [out], [x], #[inline(always)] |[out], [x]| [out + out + x]);
        }
    }

    #[test]
    fn sums_are_the_same_bits_on_every_width_and_near_those_in_f64() {
        for len in [0, 1, 7, 16, 23, 104, 1000] {
            let values = test_values(3, len);
            let found = same_bits(|| sum_of(&values));
            let expected: f64 = values.iter().map(|&x| f64::from(x)).sum();
            let scale: f64 = values.iter().map(|&x| f64::from(x).abs()).sum();
            assert!((f64::from(found) - expected).abs() <= 1e-6 * scale);
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "two additions each")]
    fn every_value_is_reached_once_whatever_the_length() {
        for len in [0, 1, 5, 8, 19, 64] {
            let (out, x) = (test_values(1, len), test_values(2, len));
            let found = same_bits(|| {
                let mut out = out.clone();
                twice_plus(&mut out, &x);
                out
            });
            for ((found, out), x) in found.iter().zip(&out).zip(&x) {
                assert_eq!(*found, out + out + x);
            }
        }
    }
}
