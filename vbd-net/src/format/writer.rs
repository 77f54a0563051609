//! Encodes a net as the tensors and bytes of a file.

use crate::tensor_file::{self, RawTensor, Tensors};

use super::metadata::{KIND, NetHeader, version_of};
use super::size::DeclaredSize;
use super::{Layout, LayoutTensor, ValueType, selection};
use crate::error::{Error, Result};
use crate::graph::WeightSpec;
use crate::net::{PrunedLayer, PrunedNet};

/// Name of the mean image's tensor.
pub(crate) const MEAN: &str = "normalize.mean";
/// Name of the tensor of standard deviations.
pub(crate) const STD: &str = "normalize.std";

/// Content of a file, without layouts.
pub(crate) struct Content<'a> {
    pub(crate) net: &'a PrunedNet,
    pub(crate) values: ValueType,
}

/// Returns the layer if its network gives it a bias.
fn has_bias<'a>((layer, spec): (&'a PrunedLayer, &WeightSpec)) -> Option<&'a PrunedLayer> {
    spec.has_bias.then_some(layer)
}

impl Content<'_> {
    fn json(&self) -> String {
        let net = self.net;
        let header = NetHeader {
            version: version_of(net),
            kind: KIND.to_owned(),
            spec: net.spec.clone(),
            method: net.method.clone(),
            threshold: net.threshold,
            before: net.before.clone(),
            values: self.values,
            provenance: net.provenance.clone(),
        };
        header.to_json()
    }

    /// Returns the bytes of the metadata string in the header, including quotes and escapes.
    pub(crate) fn json_len(&self) -> usize {
        serde_json::Value::String(self.json()).to_string().len()
    }

    /// Returns the declarations of one weight's tensors.
    pub(crate) fn weight(&self, index: usize, layout: Layout) -> Vec<DeclaredSize> {
        let layer = &self.net.layers[index];
        let name = layer.weight_name();
        let parts = layout.parts(&layer.weight, &layer.shape, self.values);
        parts
            .iter()
            .map(|part| DeclaredSize::part(&name, part))
            .collect()
    }

    /// Returns the declarations of all tensors.
    pub(crate) fn declared(&self, layouts: &[Layout]) -> Vec<DeclaredSize> {
        let net = self.net;
        let weights = layouts
            .iter()
            .enumerate()
            .flat_map(|(i, &layout)| self.weight(i, layout));
        let mut all: Vec<DeclaredSize> = weights.collect();
        for layer in net
            .layers
            .iter()
            .zip(net.graph.weights())
            .filter_map(has_bias)
        {
            let part = LayoutTensor::new("", self.values.dtype(), &[layer.bias.len()]);
            all.push(DeclaredSize::part(&layer.bias_name(), &part));
        }
        for selection in &net.selections {
            all.push(DeclaredSize::part(
                &selection.index_name(),
                &selection::part(&selection.index),
            ));
        }
        for scale in &net.scales {
            let part = LayoutTensor::new("", self.values.dtype(), &[scale.weight.len()]);
            all.extend(scale.names().map(|name| DeclaredSize::part(&name, &part)));
        }
        all.extend(self.declared_images());
        all
    }

    /// Returns the declarations of the mean and std images.
    pub(crate) fn declared_images(&self) -> Vec<DeclaredSize> {
        let part = LayoutTensor::new("", ValueType::F32.dtype(), &self.net.spec.input);
        let images = self.net.images();
        images
            .map(|(name, _)| DeclaredSize::part(name, &part))
            .collect()
    }

    /// Returns the bytes of the file. The same content gives the same bytes.
    pub(crate) fn to_bytes(&self, layouts: &[Layout]) -> Result<Vec<u8>> {
        let mut tensors = Tensors::new();
        for (layer, layout) in self.net.layers.iter().zip(layouts) {
            let name = layer.weight_name();
            for (suffix, raw) in layout.encode(&layer.weight, &layer.shape, self.values) {
                tensors.insert(format!("{name}{suffix}"), raw);
            }
        }
        for layer in self
            .net
            .layers
            .iter()
            .zip(self.net.graph.weights())
            .filter_map(has_bias)
        {
            let bias = self.values.tensor(&[layer.bias.len()], &layer.bias);
            tensors.insert(layer.bias_name(), bias);
        }
        for selection in &self.net.selections {
            tensors.insert(selection.index_name(), selection::encode(&selection.index));
        }
        for scale in &self.net.scales {
            for (name, values) in scale.names().into_iter().zip([&scale.weight, &scale.bias]) {
                tensors.insert(name, self.values.tensor(&[values.len()], values));
            }
        }
        for (name, image) in self.net.images() {
            tensors.insert(name.to_owned(), RawTensor::f32(&self.net.spec.input, image));
        }
        tensor_file::to_bytes(&tensors, self.json()).map_err(Error::Unwritable)
    }
}
