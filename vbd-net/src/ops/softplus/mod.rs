//! `ln(1 + e^x)`.

mod run;

pub(super) use run::Run;
use serde::{Deserialize, Serialize};

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

/// Returns `ln(1 + e^x)` without overflow.
#[inline]
pub fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
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
        for x in (-200..=200).map(|x| x as f32 / 10.0) {
            let exact = f64::from(x).exp().ln_1p();
            assert!(
                (f64::from(softplus(x)) - exact).abs() <= 1e-6 * exact.abs().max(1e-3),
                "{x}"
            );
        }
        assert_eq!(softplus(1e30), 1e30);
        assert_eq!(softplus(-1e30), 0.0);
        assert_eq!(softplus(f32::INFINITY), f32::INFINITY);
        assert!(softplus(f32::NAN).is_nan());
    }
}
