//! Exports a pruned net as a file for other programs, one folder per target.
//!
//! A net has no batch normalisation any more, so a target knows weights, biases, scales and
//! selections only. Every file is safetensors with the metadata `format = pt`, which PyTorch's loaders
//! expect, and has no network: [`vbd_net::spec::NetSpec`] says which module it belongs to. Inputs are
//! to be normalised as `spec.normalize` says.

mod bitmask;
mod torch;
mod torch_csr;

use std::fmt;
use std::str::FromStr;

use safetensors::Dtype;
use vbd_net::tensor_file::{self, RawTensor, Tensors};
use vbd_net::{Layout, PrunedNet, ValueType};

use crate::error::Result;

/// Key and value of the metadata that PyTorch's loaders expect.
const FORMAT: [&str; 2] = ["format", "pt"];

/// What a net is exported for.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// `load_state_dict` of a PyTorch module: dense tensors.
    Torch,
    /// `torch.sparse_csr_tensor`: compressed rows of every weight.
    TorchCsr,
    /// `BitmaskCompressor` of compressed-tensors up to 0.14: a bit per entry of every weight.
    Bitmask,
}

impl Target {
    /// All targets.
    pub const ALL: [Self; 3] = [Self::Torch, Self::TorchCsr, Self::Bitmask];

    /// Returns the target's name on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Torch => torch::NAME,
            Self::TorchCsr => torch_csr::NAME,
            Self::Bitmask => bitmask::NAME,
        }
    }

    /// Returns the layout of the weights.
    fn layout(self) -> Layout {
        match self {
            Self::Torch => torch::LAYOUT,
            Self::TorchCsr => torch_csr::LAYOUT,
            Self::Bitmask => bitmask::LAYOUT,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|target| target.as_str() == text);
        let names = Self::ALL.map(|target| format!("`{target}`")).join(", ");
        found.ok_or_else(|| format!("expected one of {names}, got `{text}`"))
    }
}

/// Encodes a net for a target, in f32. The same net gives the same bytes.
///
/// Tensors are named as in the network: `fc1.weight` (with the suffixes of its layout), `fc1.bias`
/// unless the layer has none, `NAME.weight` and `NAME.bias` of a `scale`, and `NAME.index` in i64 of
/// a `select`.
///
/// # Errors
/// [`vbd_net::Error::Unwritable`] if safetensors cannot encode the tensors.
pub fn export(net: &PrunedNet, target: Target) -> Result<Vec<u8>> {
    let [key, value] = FORMAT;
    let bytes = tensor_file::to_bytes_with(&tensors(net, target.layout()), key, value.to_owned());
    Ok(bytes.map_err(vbd_net::Error::Unwritable)?)
}

/// Returns the tensors of a net with its weights in this layout.
fn tensors(net: &PrunedNet, layout: Layout) -> Tensors {
    let mut tensors = Tensors::new();
    for (layer, spec) in net.layers().iter().zip(net.graph().weights()) {
        let name = layer.weight_name();
        for (suffix, raw) in layout.encode(&layer.weight, &layer.shape, ValueType::F32) {
            tensors.insert(format!("{name}{suffix}"), raw);
        }
        if spec.has_bias {
            let raw = RawTensor::f32(&[layer.bias.len()], &layer.bias);
            tensors.insert(layer.bias_name(), raw);
        }
    }
    for scale in net.scales() {
        for (name, values) in scale.names().into_iter().zip([&scale.weight, &scale.bias]) {
            tensors.insert(name, RawTensor::f32(&[values.len()], values));
        }
    }
    for selection in net.selections() {
        let indices = selection.index.iter().copied().map(i64::from);
        let raw = RawTensor {
            dtype: Dtype::I64,
            shape: vec![selection.index.len()],
            bytes: indices.flat_map(i64::to_le_bytes).collect(),
        };
        tensors.insert(selection.index_name(), raw);
    }
    tensors
}
