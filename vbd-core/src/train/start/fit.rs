//! How a start fits a network: names, shapes, and the normalisation of the inputs.

use vbd_net::graph::{Graph, NodeId};
use vbd_net::spec::{NetSpec, Normalizer, Statistic};

use super::Start;
use crate::error::Result;
use crate::weight::{LayerParameters, Parameters};

impl Start {
    /// Returns whether a network has the weights of this one, by name and shape, and reads inputs
    /// that are normalised alike.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if `spec` is invalid.
    pub fn fits(&self, spec: &NetSpec) -> Result<bool> {
        let graph = spec.resolve()?;
        let Parameters { layers, norms, .. } = &self.parameters;
        let (weights, expected) = (graph.weights(), graph.norms());
        let has_weights = weights.len() == layers.len()
            && weights.iter().zip(layers).all(|(weight, layer)| {
                weight.layer == layer.name
                    && weight.shape == layer.weight.shape()
                    && (weight.has_bias || !has_bias(layer))
            });
        let has_norms = expected.len() == norms.len()
            && expected.iter().zip(norms).all(|(norm, own)| {
                (&norm.layer, norm.units) == (&own.name, own.weight.value.len())
            });
        let (own, other) = (&self.spec.normalize, &spec.normalize);
        let reads_alike = self.spec.input == spec.input
            && (own.mean == other.mean || self.moves_mean(&graph))
            && self.scales_alike(spec);
        Ok(has_weights && has_norms && reads_alike)
    }

    /// Returns whether a mean that `graph` subtracts is part of this start's first biases.
    fn moves_mean(&self, graph: &Graph) -> bool {
        let is_folded = self.spec.normalize.mean == Statistic::Number(0.0);
        self.is_pruned && is_folded && graph.starts_linear()
    }

    #[expect(clippy::float_cmp, reason = "the same number of the same table")]
    fn scales_alike(&self, spec: &NetSpec) -> bool {
        let (own, other) = (&self.spec.normalize, &spec.normalize);
        own.scale == other.scale && own.std == other.std
    }

    /// Adds to the biases what the mean of the run's inputs takes from them: `W (p scale / std) + b
    /// = W ((p scale - mean) / std) + (b + W (mean / std))`, in f64. Returns how the
    /// normalisations differ if they cannot be brought together.
    #[expect(clippy::cast_possible_truncation, reason = "biases are f32")]
    pub(in crate::train) fn unfold_mean(
        &self,
        layers: &mut [LayerParameters],
        spec: &NetSpec,
        graph: &Graph,
        normalizer: &Normalizer,
    ) -> std::result::Result<(), String> {
        if !self.moves_mean(graph) || self.spec.normalize.mean == spec.normalize.mean {
            return Ok(());
        }
        if !self.scales_alike(spec) {
            let [found, expected] = [&self.spec, spec].map(|spec| {
                let rule = &spec.normalize;
                format!("scale {} and std {:?}", rule.scale, rule.std)
            });
            return Err(format!("it reads inputs with {found}: expected {expected}"));
        }
        for reader in graph.readers(NodeId::INPUT) {
            let Some(number) = graph.weight_number(reader) else {
                continue;
            };
            let layer = &mut layers[number];
            let cols = graph.weights()[number].cols();
            let theta = &layer.weight.theta().value;
            let shifts = theta.chunks_exact(cols).map(|row| {
                let inputs = normalizer.mean.iter().zip(&normalizer.std);
                let terms = row.iter().zip(inputs).map(|(&theta, (&mean, &std))| {
                    f64::from(theta) * f64::from(mean) / f64::from(std)
                });
                terms.sum::<f64>()
            });
            for (bias, shift) in layer.bias.value.iter_mut().zip(shifts) {
                *bias = (f64::from(*bias) + shift) as f32;
            }
        }
        Ok(())
    }
}

/// Returns whether a layer has a bias that is not 0.
pub(in crate::train) fn has_bias(layer: &LayerParameters) -> bool {
    layer.bias.value.iter().any(|&bias| bias != 0.0)
}
