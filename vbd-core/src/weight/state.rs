//! What a method keeps of a weight beside theta.

use super::Parameter;
use crate::error::{Error, Result};

/// What has one value of a state.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each entry of the weight.
    Entry,
    /// Each row: an output neuron or channel.
    Row,
    /// Each column: an input feature or channel.
    Column,
    /// The weight: so many values.
    Tensor(usize),
    /// All weights of the method together: so many values.
    Net(usize),
}

impl Scope {
    /// Values of a state of a weight of this shape, all of whose entries are stored.
    pub fn len(self, shape: &[usize]) -> usize {
        match self {
            Self::Entry => shape.iter().product(),
            Self::Row => shape[0],
            Self::Column => shape[1],
            Self::Tensor(len) | Self::Net(len) => len,
        }
    }
}

/// A state: its name, what has a value of it, and the values.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Name in files, behind the layer's.
    pub name: &'static str,
    /// What has one value.
    pub scope: Scope,
    /// The value of a dead entry, where entries die for good.
    pub dead: Option<f32>,
    /// Whether an optimiser moves it by its gradient; else the method sets it.
    pub is_trained: bool,
    /// Factor on the optimiser's step size.
    pub lr_factor: f64,
    /// The values, with their moments.
    pub parameter: Parameter,
}

impl State {
    /// A state with these values, that is trained.
    pub fn new(name: &'static str, scope: Scope, value: Vec<f32>) -> Self {
        Self {
            name,
            scope,
            dead: None,
            is_trained: true,
            lr_factor: 1.0,
            parameter: Parameter::new(value),
        }
    }

    /// Whether it has a value for each entry.
    pub fn is_of_entries(&self) -> bool {
        self.scope == Scope::Entry
    }

    /// What stands for an entry that is not stored.
    pub(super) fn absent(&self) -> f32 {
        self.dead.unwrap_or(0.0)
    }

    /// The same state with other values.
    pub(crate) fn with(&self, parameter: Parameter) -> Self {
        Self {
            parameter,
            ..Self {
                parameter: Parameter::default(),
                ..*self
            }
        }
    }

    /// [`Error::Shape`] if there are not so many values.
    pub(super) fn check_len(&self, expected: usize) -> Result<()> {
        let found = self.parameter.arrays();
        match found.iter().find(|array| array.len() != expected) {
            None => Ok(()),
            Some(array) => Err(Error::Shape {
                name: self.name.to_owned(),
                found: vec![array.len()],
                expected: vec![expected],
            }),
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.parameter.is_finite(self.dead)
    }
}
