//! The parameters of a network: a weight and a bias for each layer that has them.

use super::{Parameter, VariationalWeight};
use crate::error::{Error, Result};

/// The parameters of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerParameters {
    /// Name of the layer.
    pub name: String,
    /// Its weight.
    pub weight: VariationalWeight,
    /// Its bias, `[out]`: no posterior, never pruned.
    pub bias: Parameter,
}

/// All parameters of a network, in the order of its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// One entry for each layer that has parameters.
    pub layers: Vec<LayerParameters>,
}

impl LayerParameters {
    /// Checks that the parameters are those of the layer of this name, with a weight of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are of another.
    pub(crate) fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        if self.name == name && self.weight.shape() == shape {
            return Ok(());
        }
        Err(Error::Shape {
            name: format!("{}.weight, for {name}", self.name),
            found: self.weight.shape().to_vec(),
            expected: shape.to_vec(),
        })
    }
}

impl Parameters {
    /// Checks that there are parameters for this many layers.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are more or fewer.
    pub(crate) fn check_count(&self, layers: usize) -> Result<()> {
        if self.layers.len() == layers {
            return Ok(());
        }
        Err(Error::Shape {
            name: "layers".to_owned(),
            found: vec![self.layers.len()],
            expected: vec![layers],
        })
    }

    /// The first parameter that holds something else than numbers.
    pub fn not_finite(&self) -> Option<String> {
        self.layers.iter().find_map(|layer| {
            let name = &layer.name;
            if !layer.weight.is_finite() {
                return Some(format!("{name}.weight"));
            }
            (!layer.bias.is_finite(None)).then(|| format!("{name}.bias"))
        })
    }
}
