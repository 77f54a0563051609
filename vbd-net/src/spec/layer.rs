//! The layers of a network, as in TOML and JSON.

use serde::{Deserialize, Serialize};

use crate::ops::{
    Add, AvgPool2d, BatchNorm, Conv2d, Flatten, Kind, Linear, MaxPool2d, Relu, Scale, Select,
    Softplus,
};

/// A layer and its own sizes, without sizes that follow from its inputs.
// Exhaustive on purpose: a new kind of layer breaks the build of every crate that must run or train it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is what its kind is")]
pub enum LayerSpec {
    Linear(Linear),
    Conv2d(Conv2d),
    BatchNorm(BatchNorm),
    Add(Add),
    Scale(Scale),
    Relu(Relu),
    Softplus(Softplus),
    MaxPool2d(MaxPool2d),
    AvgPool2d(AvgPool2d),
    Flatten(Flatten),
    Select(Select),
}

impl LayerSpec {
    /// Returns the layer as a [`Kind`].
    pub fn kind(&self) -> &dyn Kind {
        match self {
            Self::Linear(kind) => kind,
            Self::Conv2d(kind) => kind,
            Self::BatchNorm(kind) => kind,
            Self::Add(kind) => kind,
            Self::Scale(kind) => kind,
            Self::Relu(kind) => kind,
            Self::Softplus(kind) => kind,
            Self::MaxPool2d(kind) => kind,
            Self::AvgPool2d(kind) => kind,
            Self::Flatten(kind) => kind,
            Self::Select(kind) => kind,
        }
    }

    /// Returns the layer as a mutable [`Kind`].
    pub fn kind_mut(&mut self) -> &mut dyn Kind {
        match self {
            Self::Linear(kind) => kind,
            Self::Conv2d(kind) => kind,
            Self::BatchNorm(kind) => kind,
            Self::Add(kind) => kind,
            Self::Scale(kind) => kind,
            Self::Relu(kind) => kind,
            Self::Softplus(kind) => kind,
            Self::MaxPool2d(kind) => kind,
            Self::AvgPool2d(kind) => kind,
            Self::Flatten(kind) => kind,
            Self::Select(kind) => kind,
        }
    }
}

/// Kind of a layer with a weight.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// A fully connected layer.
    Linear,
    /// A convolution.
    Conv2d,
}

impl LayerKind {
    /// Returns the name in TOML and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Conv2d => "conv2d",
        }
    }
}
