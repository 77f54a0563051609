//! `ln(1 + e^x)`.

mod run;

pub(super) use run::Run;
use serde::{Deserialize, Serialize};
use std::f32::consts::LOG2_E;

use super::{GEOMETRIES, Kind, NodeTensors, Plain, Units, one};
use crate::graph::Shape;

/// `ln(1 + e^x)`, a smooth ReLU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softplus {
    /// Name for consumers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the input layer; `None` for the layer above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// Returns `ln(1 + e^x)` without overflow, to some units in the last place. It has no branches and
/// calls no function, so that loops over it become vector code, with the same bits everywhere.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    // ln(1 + e^x) = max(x, 0) + ln(1 + t) with t = e^-|x|
    x.max(0.0) + ln_1p(exp(-x.abs()))
}

/// Returns `e^x` of a negative number, 0 where that is less than 1.6e-38.
///
/// `e^x = 2^n e^r` with `|r| <= ln 2 / 2`, and the polynomial of Cephes' `expf` for `e^r`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LEAST: f32 = -87.0;
    /// Adding it rounds to an integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// The first bits of ln 2, whose products with integers are exact, and the rest.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let mut p = 1.987_569_1e-4_f32;
    for factor in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p * r + factor;
    }
    let power = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    let power = f32::from_bits(power.wrapping_add(127) << 23);
    let exp = (p * r * r + r + 1.0) * power;
    if x < LEAST { 0.0 } else { exp }
}

/// Returns `ln(1 + t)` of a number of 0 to 1.
///
/// `ln(1 + t) = 2 artanh(s)` with `s = t / (2 + t)`, at most a third, and the series of artanh.
#[inline(always)]
fn ln_1p(t: f32) -> f32 {
    let s = t / (2.0 + t);
    let square = s * s;
    let mut sum = 2.0 / 15.0;
    for term in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 2.0 / term;
    }
    s * sum
}

impl Kind for Softplus {
    wiring!("softplus", optional);

    fn units(&self) -> Units {
        Units::Same
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn since(&self) -> u32 {
        GEOMETRIES
    }

    fn plain(&self, inputs: &[Plain<'_>], _own: NodeTensors<'_>, _output: Shape) -> Vec<f32> {
        inputs[0].values.iter().map(|&x| softplus(x)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_is_the_logarithm_of_one_plus_the_exponential() {
        for x in (-8600..=8600).map(|x| x as f32 / 100.0) {
            let exact = f64::from(x).exp().ln_1p();
            let error = (f64::from(softplus(x)) - exact).abs();
            assert!(error <= 4e-7 * exact, "{x}: {error} of {exact}");
        }
        assert_eq!(softplus(1e30), 1e30);
        assert_eq!(softplus(-1e30), 0.0);
        assert_eq!(softplus(f32::INFINITY), f32::INFINITY);
        assert!(softplus(f32::NAN).is_nan());
    }
}
