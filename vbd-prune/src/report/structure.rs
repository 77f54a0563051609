//! What is left of a net's units: of the net as it was, and of the smaller one without those that nothing
//! needs.

use serde::Serialize;
use vbd_net::spec::{NetSpec, WeightSpec};

use crate::error::Result;
use vbd_net::PrunedNet;

/// Units, parameters and multiply-adds before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Structure {
    /// Unit by unit of the network, its classes excluded.
    pub units: Vec<UnitCount>,
    /// Whether the net is the smaller one already.
    pub is_made: bool,
    /// Weights and biases of the net as it was.
    pub parameters_before: usize,
    /// Those of the smaller net, zeros too.
    pub parameters_after: usize,
    /// Multiply-adds a sample of the dense net as it was.
    pub multiply_adds_before: usize,
    /// Those of the smaller net, dense too.
    pub multiply_adds_after: usize,
}

/// Units of one place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitCount {
    /// `input`, `flatten`, or the layer whose features or channels they are.
    pub name: String,
    /// Units of the net as it was.
    pub units: usize,
    /// Those that are needed, or the one that a layer keeps where none is.
    pub kept: usize,
}

impl Structure {
    /// The structure of a net, made smaller already or not.
    ///
    /// # Errors
    /// None of a net that was read or made by this crate.
    pub fn of(net: &PrunedNet) -> Result<Self> {
        let before = net.before();
        let smaller = net.smaller()?;
        let after = smaller.spec();
        Ok(Self {
            is_made: net.is_smaller(),
            units: units(&before.weights()?, &after.weights()?),
            parameters_before: parameters(before)?,
            parameters_after: parameters(after)?,
            multiply_adds_before: multiply_adds(before)?,
            multiply_adds_after: multiply_adds(after)?,
        })
    }
}

fn units(before: &[WeightSpec], after: &[WeightSpec]) -> Vec<UnitCount> {
    let count = |name: &str, units, kept| UnitCount {
        name: name.to_owned(),
        units,
        kept,
    };
    let mut units = Vec::new();
    let mut last: Option<(&WeightSpec, usize)> = None;
    for (before, after) in before.iter().zip(after) {
        let (all, kept) = (before.shape[1], after.shape[1]);
        match last {
            None => units.push(count("input", all, kept)),
            Some((producer, left)) => {
                units.push(count(&producer.layer, producer.rows(), left));
                if all != producer.rows() {
                    units.push(count("flatten", all, kept));
                }
            }
        }
        last = Some((before, after.rows()));
    }
    units
}

fn parameters(spec: &NetSpec) -> Result<usize> {
    let weights = spec.weights()?;
    Ok(weights
        .iter()
        .map(|weight| weight.numel() + weight.rows())
        .sum())
}

fn multiply_adds(spec: &NetSpec) -> Result<usize> {
    let weights = spec.weights()?.into_iter().zip(spec.positions()?);
    let sums = weights.map(|(weight, positions)| weight.numel() * positions);
    // A file may say anything of the net that it was made from.
    Ok(sums.fold(0, usize::saturating_add))
}
