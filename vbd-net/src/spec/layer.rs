//! One layer of a network, as its TOML table has it.

use serde::{Deserialize, Serialize};

/// A layer and its own sizes; what follows from the layers before it is not repeated here.
///
/// Layers without sizes are empty structs: serde would let unknown keys pass in a unit variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerSpec {
    /// `y = x W^T + b`, `[batch, in] -> [batch, out_features]`; an image is flattened first.
    Linear {
        /// Prefix of the layer's tensors: `fc1` gives `fc1.weight`.
        name: String,
        /// Width of the output.
        out_features: usize,
    },
    /// Square convolution, `[batch, in, h, w] -> [batch, out_channels, h', w']`.
    Conv2d {
        /// Prefix of the layer's tensors.
        name: String,
        /// Channels of the output.
        out_channels: usize,
        /// Side of the square kernel.
        kernel: usize,
        /// Step between positions.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        stride: usize,
        /// Zeros added on every side.
        #[serde(default, skip_serializing_if = "is_zero")]
        padding: usize,
    },
    /// `max(x, 0)`.
    Relu {},
    /// Largest value of each `kernel x kernel` window, windows side by side.
    MaxPool2d {
        /// Side of the window, and the step between windows.
        kernel: usize,
    },
    /// `[batch, c, h, w] -> [batch, c * h * w]`.
    Flatten {},
    /// Some of the features, or channels, by the places in the tensor `NAME.index`: what reads the
    /// inputs of a net that was made smaller.
    Select {
        /// Prefix of the layer's tensor.
        name: String,
        /// How many are kept.
        units: usize,
    },
}

/// The kinds of layer that own a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// A fully connected layer.
    Linear,
    /// A convolution.
    Conv2d,
}

impl LayerKind {
    /// The kind's word in TOML and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Conv2d => "conv2d",
        }
    }
}

impl LayerSpec {
    /// The name of a layer that has parameters.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Linear { name, .. } | Self::Conv2d { name, .. } => Some(name),
            Self::Relu {} | Self::MaxPool2d { .. } | Self::Flatten {} | Self::Select { .. } => None,
        }
    }

    /// The prefix of the layer's tensors, where it has any.
    pub(super) fn prefix(&self) -> Option<&str> {
        match self {
            Self::Select { name, .. } => Some(name),
            layer => layer.name(),
        }
    }

    /// What errors call the layer: its name, or its kind and place.
    pub(super) fn label(&self, index: usize) -> String {
        let kind = match self {
            Self::Linear { name, .. } | Self::Conv2d { name, .. } | Self::Select { name, .. } => {
                return name.clone();
            }
            Self::Relu {} => "relu",
            Self::MaxPool2d { .. } => "max_pool2d",
            Self::Flatten {} => "flatten",
        };
        format!("{kind} (layer {})", index + 1)
    }
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(value: &usize) -> bool {
    *value == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}
