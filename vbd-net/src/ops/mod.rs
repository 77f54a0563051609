//! The kinds of layer, one folder each.
//!
//! Generic code asks a layer for its [`Units`], which describe how outputs depend on inputs. To add
//! a kind, add a folder here, a line in [`LayerSpec`], and a folder in `vbd-core`'s `ops` for
//! training.

/// Implements name and wiring of a kind with one input; `named` kinds always have a name.
macro_rules! wiring {
    ($word:literal, $name:ident) => {
        fn word(&self) -> &'static str {
            $word
        }

        fn name(&self) -> Option<&str> {
            wiring!(@name $name self)
        }

        fn set_name(&mut self, name: String) {
            self.name = name.into();
        }

        fn reads(&self) -> Vec<Option<&str>> {
            vec![self.input.as_deref()]
        }

        fn set_input(&mut self, _index: usize, name: Option<String>) {
            self.input = name;
        }
    };
    (@name named $kind:ident) => {
        Some(&$kind.name)
    };
    (@name optional $kind:ident) => {
        $kind.name.as_deref()
    };
}

mod add;
mod avg_pool2d;
mod batch_norm;
pub(crate) mod conv2d;
mod flatten;
pub(crate) mod linear;
mod max_pool2d;
mod pooling;
mod relu;
mod scale;
mod select;
mod softplus;
mod unweighted;

pub use add::Add;
pub use avg_pool2d::AvgPool2d;
pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use flatten::Flatten;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;
pub use relu::Relu;
pub use scale::Scale;
pub use select::Select;
pub use softplus::{Softplus, softplus};

use std::sync::Arc;

pub(crate) use unweighted::{Copied, Inputs, Places, Unweighted};

use crate::graph::{Shape, Window};
use crate::net::{PrunedLayer, UnitScale};
use crate::spec::{LayerKind, LayerSpec};

/// Returns how a layer without a weight runs; `None` for layers with tensors and for those that
/// only move values.
pub(crate) fn unweighted(layer: &LayerSpec) -> Option<Arc<dyn Unweighted>> {
    match layer {
        LayerSpec::Add(_) => Some(Arc::new(add::Sum)),
        LayerSpec::Relu(_) => Some(Arc::new(Copied)),
        LayerSpec::Softplus(_) => Some(Arc::new(softplus::Run)),
        LayerSpec::MaxPool2d(pool) => Some(Arc::new(pool.clone())),
        LayerSpec::AvgPool2d(pool) => Some(Arc::new(pool.clone())),
        LayerSpec::Linear(_)
        | LayerSpec::Conv2d(_)
        | LayerSpec::BatchNorm(_)
        | LayerSpec::Flatten(_)
        | LayerSpec::Scale(_)
        | LayerSpec::Select(_) => None,
    }
}

/// How output units depend on input units. A unit is a feature or a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// Each value depends on one value: an activation.
    Same,
    /// Each unit depends on one unit; a constant unit gives a constant.
    PerUnit,
    /// Each value of each input unit becomes a unit.
    Flatten,
    /// Each unit depends on all units through a weight.
    Mixes,
    /// Each unit depends on the unit with the same number in every input; they live and die
    /// together.
    Ties,
    /// A subset of the input's units.
    Picks,
}

/// A kind of layer.
pub trait Kind {
    /// Returns the kind's name in TOML and JSON.
    fn word(&self) -> &'static str;

    /// Returns the layer's name, used by consumers and as the prefix of its tensors.
    fn name(&self) -> Option<&str>;

    /// Sets the layer's name.
    fn set_name(&mut self, name: String);

    /// Returns whether all inputs must be named.
    fn names_inputs(&self) -> bool {
        false
    }

    /// Returns the names of the inputs; `None` is the layer above.
    fn reads(&self) -> Vec<Option<&str>>;

    /// Sets input number `index` to a layer's name, or with `None` to the layer above.
    fn set_input(&mut self, index: usize, name: Option<String>);

    /// Returns how output units depend on input units.
    fn units(&self) -> Units;

    /// Returns the output shape.
    ///
    /// # Errors
    /// A description of the problem.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// Returns the tensors that the layer needs for inputs of these shapes.
    fn needs(&self, _inputs: &[Shape]) -> RequiredTensors {
        RequiredTensors::Nothing
    }

    /// Returns the window of a convolution or a pooling.
    ///
    /// # Errors
    /// A description of the problem.
    fn window(&self, _inputs: &[Shape]) -> Result<Option<Window>, String> {
        Ok(None)
    }

    /// Gives a layer with a weight a bias.
    fn add_bias(&mut self) {}

    /// Sets the number of groups, if the layer has groups.
    fn set_groups(&mut self, _groups: usize) {}

    /// Sets the number of outputs, if the layer chooses it.
    fn set_units(&mut self, _units: usize) {}

    /// Returns whether the layer may be in a network to train.
    fn can_train(&self) -> bool {
        true
    }

    /// Returns the first version of the pruned file with this kind.
    fn since(&self) -> u32 {
        1
    }

    /// Computes one sample in the simplest way, as a reference for tests. Not implemented for kinds
    /// with a weight.
    fn plain(&self, _inputs: &[Plain<'_>], _own: NodeTensors<'_>, _output: Shape) -> Vec<f32> {
        Vec::new()
    }
}

/// The tensors of a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum RequiredTensors {
    /// None.
    Nothing,
    /// A weight, and a bias of its first dimension.
    Weight {
        /// Kind of the layer.
        kind: LayerKind,
        /// `[out, in]`, or `[out, in / groups, rows, columns]`.
        shape: Vec<usize>,
        /// Number of groups of channels that do not mix.
        groups: usize,
        /// Whether there is a bias.
        has_bias: bool,
    },
    /// Indices of kept units, increasing.
    Index,
    /// A factor and a shift per input unit.
    Scale,
    /// A factor, a shift, a running mean and a running variance per input unit.
    Norm {
        /// Added to the variance.
        eps: f64,
        /// Share of a batch in the running statistics.
        momentum: f64,
    },
}

/// A layer's tensors in a net.
#[derive(Debug, Clone, Copy)]
pub enum NodeTensors<'a> {
    /// None.
    Nothing,
    /// A weight and its bias.
    Weight(&'a PrunedLayer),
    /// Indices of kept units.
    Index(&'a [u32]),
    /// A factor and a shift for each unit.
    Scale(&'a UnitScale),
}

/// One input of one sample.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    /// The values, row-major, channels first.
    pub values: &'a [f32],
    /// Shape of the values.
    pub shape: Shape,
}

/// First version of the pruned file with windows of any shape, groups, and weights without bias.
const GEOMETRIES: u32 = 4;

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(value: &bool) -> bool {
    *value
}

/// Returns the only input shape, or an error.
fn one(inputs: &[Shape]) -> Result<Shape, String> {
    match *inputs {
        [input] => Ok(input),
        _ => Err(format!("reads {} layers: expected one", inputs.len())),
    }
}
