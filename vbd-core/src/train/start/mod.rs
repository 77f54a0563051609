//! What a run starts from: the weights of a trained network.
//!
//! A checkpoint, a pruned net and a PyTorch state dict become a [`Start`], which
//! [`Parameters::start_from`](crate::weight::Parameters::start_from) turns into the first parameters
//! of a run.

mod fit;
mod state_dict;

pub(super) use fit::has_bias;

use vbd_net::PrunedNet;
use vbd_net::spec::NetSpec;

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::weight::{LayerParameters, Parameter, Parameters, Weight};

/// Weights of a trained network, from which a run starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Name of the file, recorded in the run's checkpoints.
    pub origin: String,
    /// Network of the weights.
    pub spec: NetSpec,
    /// Trained parameters. Moments are ignored.
    pub parameters: Parameters,
    /// Whether the network is that of a pruned file: batch normalisations are folded, and a mean of 0
    /// may be part of the first biases.
    pub is_pruned: bool,
}

impl Start {
    /// Starts from a checkpoint. Units that its gates prune are 0, and the factors of the others are
    /// folded into the weights that read them. Batch normalisations stay.
    ///
    /// # Errors
    /// [`Error::StartGateStays`] if factors cannot be folded, because units are also read by layers
    /// without a weight; [`Error::Shape`] or [`vbd_net::Error::Spec`] if the checkpoint does not
    /// match its own network.
    pub fn from_checkpoint(checkpoint: Checkpoint, origin: String) -> Result<Self> {
        let Checkpoint {
            spec,
            recipe,
            mut parameters,
            ..
        } = checkpoint;
        let gates = Gate::all(&spec, &recipe.method)?;
        parameters.check(&spec.resolve()?, &gates)?;
        if let Some(gate) = gates.iter().find(|gate| gate.prunes && !gate.folds) {
            return Err(Error::StartGateStays {
                after: gate.after.clone(),
            });
        }
        parameters.drop_units(&gates);
        parameters.fold(&gates);
        Ok(Self {
            origin,
            spec,
            parameters,
            is_pruned: false,
        })
    }

    /// Starts from a pruned net. Weights that were pruned are 0.
    ///
    /// # Errors
    /// [`Error::StartPruned`] if the network has layers that only pruning writes.
    pub fn from_pruned(net: &PrunedNet, origin: String) -> Result<Self> {
        let mut written = net.spec().layers.iter().map(|layer| layer.kind().word());
        if let Some(kind) = written.find(|kind| ["scale", "select"].contains(kind)) {
            return Err(Error::StartPruned {
                start: net.spec().name.clone(),
                kind,
            });
        }
        let layers = net.layers().iter().map(|layer| {
            let theta = Parameter::new(layer.weight.to_dense());
            Ok(LayerParameters {
                name: layer.name.clone(),
                weight: Weight::dense(&layer.shape, theta, Vec::new())?,
                bias: Parameter::new(layer.bias.clone()),
            })
        });
        let layers = layers.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            origin,
            spec: net.spec().clone(),
            parameters: layers.into(),
            is_pruned: true,
        })
    }
}
