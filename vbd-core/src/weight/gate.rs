//! The parameters of a gate: a posterior for each unit.

use super::Parameter;
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::posterior::{self, LOG_SIGMA2_DEAD};

/// The posterior of each unit's factor. A dead unit has theta = 0 and an infinite `log_sigma2`.
#[derive(Debug, Clone, PartialEq)]
pub struct GateParameters {
    /// What the gate lies behind.
    pub after: String,
    /// Posterior means, `[units]`.
    pub theta: Parameter,
    /// Log variances, `[units]`.
    pub log_sigma2: Parameter,
}

impl GateParameters {
    /// A gate that has not been trained: theta is 1.
    pub fn new(gate: &Gate, log_sigma2_init: f32) -> Self {
        let log_sigma2_init = gate.noise().log_sigma2().unwrap_or(log_sigma2_init);
        Self {
            after: gate.after.clone(),
            theta: Parameter::new(vec![1.0; gate.units]),
            log_sigma2: Parameter::new(vec![log_sigma2_init; gate.units]),
        }
    }

    /// A gate all of whose units are dead.
    pub(crate) fn dead(gate: &Gate) -> Self {
        Self {
            after: gate.after.clone(),
            theta: Parameter::new(vec![0.0; gate.units]),
            log_sigma2: Parameter::new(vec![LOG_SIGMA2_DEAD; gate.units]),
        }
    }

    pub(super) fn check(&self, gate: &Gate) -> Result<()> {
        let arrays = [self.theta.arrays(), self.log_sigma2.arrays()].concat();
        let found = arrays.iter().find(|array| array.len() != gate.units);
        if self.after == gate.after && found.is_none() {
            return Ok(());
        }
        Err(Error::Shape {
            name: format!("gate.{}, for gate.{}", self.after, gate.after),
            found: vec![found.map_or(gate.units, |array| array.len())],
            expected: vec![gate.units],
        })
    }

    /// Which units are kept at a threshold.
    pub fn kept(&self, log_alpha_threshold: f32) -> impl Iterator<Item = bool> {
        let units = self.theta.value.iter().zip(&self.log_sigma2.value);
        units.map(move |(&theta, &l)| posterior::is_kept(theta, l, log_alpha_threshold))
    }

    /// Which units are not dead.
    pub fn alive(&self) -> impl Iterator<Item = bool> {
        let log_sigma2 = self.log_sigma2.value.iter();
        log_sigma2.map(|&log_sigma2| !posterior::is_dead(log_sigma2))
    }

    pub(super) fn kill(&mut self, kept: &[bool]) {
        self.theta.clear_dropped(kept, 0.0);
        self.log_sigma2.clear_dropped(kept, LOG_SIGMA2_DEAD);
    }

    pub(super) fn is_finite(&self) -> bool {
        self.theta.is_finite(None) && self.log_sigma2.is_finite(Some(LOG_SIGMA2_DEAD))
    }
}
