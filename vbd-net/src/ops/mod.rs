//! The kinds of layer: one folder each says what a kind is.
//!
//! Whoever needs to know of a layer how its outputs depend on its inputs asks for its [`Units`]; only those who
//! compute need to know more. A new kind is a folder here, a line in [`LayerSpec`], and a
//! folder in `vbd-core`'s `ops` with how it trains.

/// What a kind with one input says of its word, its name and its wiring; `named` kinds have a name always.
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
pub(crate) mod conv2d;
mod flatten;
pub(crate) mod linear;
mod max_pool2d;
mod relu;
mod scale;
mod select;
mod unweighted;

pub use add::Add;
pub use conv2d::Conv2d;
pub use flatten::Flatten;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;
pub use relu::Relu;
pub use scale::Scale;
pub use select::Select;

use std::sync::Arc;

pub(crate) use unweighted::{Copied, Inputs, Places, Unweighted};

use crate::graph::Shape;
use crate::net::{PrunedLayer, UnitScale};
use crate::spec::{LayerKind, LayerSpec};

/// How a layer without a weight runs; `None` of one that has tensors, or that moves nothing.
pub(crate) fn unweighted(layer: &LayerSpec) -> Option<Arc<dyn Unweighted>> {
    match layer {
        LayerSpec::Add(_) => Some(Arc::new(add::Sum)),
        LayerSpec::Relu(_) => Some(Arc::new(Copied)),
        LayerSpec::MaxPool2d(pool) => Some(Arc::new(pool.clone())),
        LayerSpec::Linear(_)
        | LayerSpec::Conv2d(_)
        | LayerSpec::Flatten(_)
        | LayerSpec::Scale(_)
        | LayerSpec::Select(_) => None,
    }
}

/// How the units that come out depend on those that come in. A unit is a feature, or a channel of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// Value by value: an activation.
    Same,
    /// Unit by unit: a unit that is constant gives a constant.
    PerUnit,
    /// The values of all units, each of them a unit.
    Flatten,
    /// By a weight, each from all.
    Mixes,
    /// The units of one number of all inputs: they live and die together.
    Ties,
    /// Some of them.
    Picks,
}

/// What a layer of some kind is.
pub trait Kind {
    /// The kind's word in TOML and JSON.
    fn word(&self) -> &'static str;

    /// The layer's own name: others read it by that, and its tensors have it as their prefix.
    fn name(&self) -> Option<&str>;

    /// Gives it a name.
    fn set_name(&mut self, name: String);

    /// Whether it names whatever it reads.
    fn names_inputs(&self) -> bool {
        false
    }

    /// The names of what it reads; `None` stands for the layer before it.
    fn reads(&self) -> Vec<Option<&str>>;

    /// Makes it read a layer by its name, or with `None` the layer before it, as its input of number `index`.
    fn set_input(&mut self, index: usize, name: Option<String>);

    /// How units that come out depend on those that come in.
    fn units(&self) -> Units;

    /// The shape of its output, or what is wrong with it.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// The tensors that it has, its inputs having these shapes.
    fn needs(&self, _inputs: &[Shape]) -> Needs {
        Needs::Nothing
    }

    /// Gives it another number of outputs, where they are its own to choose.
    fn set_units(&mut self, _units: usize) {}

    /// Whether networks that are to be trained may have it.
    fn can_train(&self) -> bool {
        true
    }

    /// The first version of the pruned file that has it.
    fn since(&self) -> u32 {
        1
    }

    /// What one sample becomes, plainly: what those who compute are tested against. Kinds with a weight have none.
    fn plain(&self, _inputs: &[Plain<'_>], _own: Own<'_>, _output: Shape) -> Vec<f32> {
        Vec::new()
    }
}

/// The tensors of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// None.
    Nothing,
    /// A weight of this shape, and a bias of its first size.
    Weight(LayerKind, Vec<usize>),
    /// The places of the units that it keeps, rising.
    Index,
    /// A factor and a shift for each unit that comes in.
    Scale,
}

/// A layer's tensors in a net.
#[derive(Debug, Clone, Copy)]
pub enum Own<'a> {
    /// None.
    Nothing,
    /// A weight and its bias.
    Weight(&'a PrunedLayer),
    /// Which units are kept.
    Index(&'a [u32]),
    /// A factor and a shift for each unit.
    Scale(&'a UnitScale),
}

/// The values of one sample that come in.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a> {
    /// The values, row-major, channels first.
    pub values: &'a [f32],
    /// Their shape.
    pub shape: Shape,
}

/// What is wrong where not one shape comes in.
fn one(inputs: &[Shape]) -> Result<Shape, String> {
    match *inputs {
        [input] => Ok(input),
        _ => Err(format!("reads {} layers: expected one", inputs.len())),
    }
}
