//! Parameters of a gate: theta and states of each unit's factor.

use super::{Parameter, Weight};
use crate::error::{Error, Result};
use crate::gate::Gate;

/// Theta and learned states of each unit's factor. A dead unit has theta = 0; for pure noise every
/// theta is 1.
#[derive(Debug, Clone, PartialEq)]
pub struct GateParameters {
    /// Position of the gate.
    pub after: String,
    /// Theta and states, `[units]`.
    pub units: Weight,
}

impl GateParameters {
    /// Creates the parameters of an untrained gate: theta is 1.
    ///
    /// # Panics
    /// Never: the states match the number of units.
    pub fn new(gate: &Gate) -> Self {
        let shape = [gate.units];
        let states = gate.method.as_ref();
        let states = states.map_or_else(Vec::new, |method| method.states(&shape));
        let theta = Parameter::new(vec![1.0; gate.units]);
        Self {
            after: gate.after.clone(),
            units: Weight::dense(&shape, theta, states).expect("states of so many units"),
        }
    }

    /// Returns theta of each unit's factor.
    pub fn theta(&self) -> &Parameter {
        self.units.theta()
    }

    pub(super) fn check(&self, gate: &Gate) -> Result<()> {
        let found = self.units.shape();
        if self.after == gate.after && found == [gate.units] {
            let states = gate.method.as_ref();
            let states = states.map_or_else(Vec::new, |method| method.states(&[0]));
            return self
                .units
                .check_states(&states, &format!("gate.{}", gate.after));
        }
        Err(Error::Shape {
            name: format!("gate.{} for gate.{}", self.after, gate.after),
            found: found.to_vec(),
            expected: vec![gate.units],
        })
    }

    /// Returns which units are kept at the gate's threshold; all, for pure noise.
    pub fn kept(&self, gate: &Gate) -> Vec<bool> {
        let method = gate.method.as_ref().filter(|_| gate.prunes);
        method.map_or_else(
            || vec![true; gate.units],
            |method| self.units.kept(&**method),
        )
    }

    /// Returns which units are live.
    pub fn alive(&self) -> impl Iterator<Item = bool> {
        let units = 0..self.theta().value.len();
        units.map(|unit| !self.units.is_dead(unit))
    }

    pub(crate) fn kill(&mut self, kept: &[bool]) {
        self.units.kill_places(|unit| kept[unit]);
    }

    pub(super) fn is_finite(&self) -> bool {
        self.units.is_finite()
    }
}
