//! States of a weight besides theta.

use super::Parameter;
use crate::error::{Error, Result};

/// Scope of one value of a state.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One value per entry of the weight.
    Entry,
    /// One value per row: output neuron or channel.
    Row,
    /// One value per column: input feature or channel.
    Column,
    /// This many values per weight.
    Tensor(usize),
    /// This many values for all weights of the method together.
    Net(usize),
}

impl Scope {
    /// Returns the number of values for a weight of this shape with all entries stored.
    pub fn len(self, shape: &[usize]) -> usize {
        match self {
            Self::Entry => shape.iter().product(),
            Self::Row => shape[0],
            Self::Column => shape[1],
            Self::Tensor(len) | Self::Net(len) => len,
        }
    }
}

/// A state: name, scope and values.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Name in files, after the layer's.
    pub name: &'static str,
    /// Scope of one value.
    pub scope: Scope,
    /// Value of a dead entry, if entries die.
    pub dead: Option<f32>,
    /// Whether an optimiser updates it by its gradient; otherwise the method sets it.
    pub is_trained: bool,
    /// Factor on the learning rate.
    pub lr_factor: f64,
    /// Values with their moments.
    pub parameter: Parameter,
}

impl State {
    /// Creates a trained state with these values.
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

    /// Returns whether it has one value per entry.
    pub fn is_of_entries(&self) -> bool {
        self.scope == Scope::Entry
    }

    /// Returns the value of an entry that is not stored.
    pub(super) fn absent(&self) -> f32 {
        self.dead.unwrap_or(0.0)
    }

    /// Returns the state with other values.
    pub(crate) fn with(&self, parameter: Parameter) -> Self {
        Self {
            parameter,
            ..Self {
                parameter: Parameter::default(),
                ..*self
            }
        }
    }

    /// Returns [`Error::Shape`] if the number of values does not match.
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
