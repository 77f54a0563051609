//! Parameters of a batch normalisation.

use super::Parameter;
use crate::error::{Error, Result};
use vbd_net::graph::NormSpec;

/// Factor, shift and running statistics of each unit. Nothing is pruned, and nothing has a
/// posterior.
#[derive(Debug, Clone, PartialEq)]
pub struct NormParameters {
    /// Name of the layer.
    pub name: String,
    /// Factors, `[units]`.
    pub weight: Parameter,
    /// Shifts, `[units]`.
    pub bias: Parameter,
    /// Running means of the inputs, `[units]`.
    pub running_mean: Vec<f32>,
    /// Running variances of the inputs, without bias, `[units]`.
    pub running_var: Vec<f32>,
}

impl NormParameters {
    /// Creates the initial parameters: factors 1, shifts 0, and a mean of 0 and a variance of 1.
    pub fn new(spec: &NormSpec) -> Self {
        Self {
            name: spec.layer.clone(),
            weight: Parameter::new(vec![1.0; spec.units]),
            bias: Parameter::new(vec![0.0; spec.units]),
            running_mean: vec![0.0; spec.units],
            running_var: vec![1.0; spec.units],
        }
    }

    /// Checks name and number of units.
    ///
    /// # Errors
    /// [`Error::Shape`] if they differ.
    pub fn check(&self, spec: &NormSpec) -> Result<()> {
        let values = [
            ("weight", self.weight.value.len()),
            ("bias", self.bias.value.len()),
            ("running_mean", self.running_mean.len()),
            ("running_var", self.running_var.len()),
        ];
        let wrong = values.iter().find(|(_, len)| *len != spec.units);
        let (what, found) = match wrong {
            None if self.name == spec.layer => return Ok(()),
            None => values[0],
            Some(&wrong) => wrong,
        };
        Err(Error::Shape {
            name: format!("{}.{what} for {}", self.name, spec.layer),
            found: vec![found],
            expected: vec![spec.units],
        })
    }

    /// Returns the name of the first tensor with a NaN or infinity.
    pub(super) fn not_finite(&self) -> Option<String> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let tensors = [
            ("weight", self.weight.is_finite(None)),
            ("bias", self.bias.is_finite(None)),
            ("running_mean", finite(&self.running_mean)),
            ("running_var", finite(&self.running_var)),
        ];
        let wrong = tensors.into_iter().find(|(_, is_finite)| !is_finite);
        wrong.map(|(what, _)| format!("{}.{what}", self.name))
    }
}
