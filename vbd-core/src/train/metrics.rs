//! What one epoch of a run reports.

use serde::{Deserialize, Serialize};

use crate::gate::{Gate, GateKind};
use crate::weight::Parameters;

/// One epoch, as a line of `metrics.jsonl`. Fractions are 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// `nll + kl_scale * kl_weight / N * kl`, nats.
    pub loss: f64,
    /// Mean negative log-likelihood of the epoch's steps, nats a sample: cross-entropy, or half of the squared error
    /// summed over outputs.
    pub nll: f64,
    /// Sum of the KL over live weights and units at the epoch's end, nats; that of a layer or a gate
    /// with a weight of its own times that.
    pub kl: f64,
    /// Factor on the KL at the epoch's last step.
    pub kl_scale: f64,
    /// Step size at the epoch's last step.
    pub lr: f64,
    /// Error of the pruned network on the test samples, of a network with classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error: Option<f64>,
    /// Mean cross-entropy on the test samples, nats, of a network with classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_nll: Option<f64>,
    /// Mean over test samples and outputs of the pruned network's squared error, of one without classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// Error on the samples held out, of a network with classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_error: Option<f64>,
    /// Mean squared error on the samples held out, of a network without classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Prunable weights, biases excluded.
    pub numel: usize,
    /// Those that are kept.
    pub nnz: usize,
    /// `numel / nnz`; nothing if nothing is kept.
    pub compression_ratio: Option<f64>,
    /// The same for each layer.
    pub layers: Vec<LayerCount>,
    /// How many units each gate keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateCount>,
    /// Seconds of the epoch spent in steps.
    pub train_seconds: f64,
    /// Seconds of the epoch in all, evaluation included.
    pub seconds: f64,
    /// Seconds that the rest of the run is expected to take.
    pub eta_seconds: f64,
}

/// How many weights of a layer are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerCount {
    /// Name of the layer.
    pub name: String,
    /// Its weights.
    pub numel: usize,
    /// Those that are kept.
    pub nnz: usize,
    /// Share of zeros.
    pub sparsity: f64,
}

impl LayerCount {
    /// The counts of each layer, of parameters of which what is not kept is dead.
    pub fn of(pruned: &Parameters) -> Vec<Self> {
        let count = |layer: &crate::weight::LayerParameters| {
            let theta = &layer.weight.theta().value;
            let nnz = theta.iter().filter(|&&theta| theta != 0.0).count();
            let numel = layer.weight.numel();
            Self {
                name: layer.name.clone(),
                numel,
                nnz,
                sparsity: 1.0 - nnz as f64 / numel as f64,
            }
        };
        pruned.layers.iter().map(count).collect()
    }
}

/// How many units of a gate are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateCount {
    /// What the gate lies behind.
    pub after: String,
    /// What its noise is; of all but `normal` ones nothing is left at test, and no unit goes.
    #[serde(default)]
    pub kind: GateKind,
    /// Its units.
    pub units: usize,
    /// Those that are kept.
    pub kept: usize,
}

impl GateCount {
    /// The counts of each gate, of parameters of which what is not kept is dead.
    pub fn of(pruned: &Parameters, gates: &[Gate]) -> Vec<Self> {
        let gates = pruned.gates.iter().zip(gates).map(|(gate, spec)| Self {
            kind: spec.setting.kind,
            after: gate.after.clone(),
            units: gate.theta().value.len(),
            kept: gate.alive().filter(|&alive| alive).count(),
        });
        gates.collect()
    }
}

/// `numel / nnz`; nothing if nothing is kept.
///
/// ```
/// use vbd_core::train::compression_ratio;
/// assert_eq!(compression_ratio(100, 4), Some(25.0));
/// assert_eq!(compression_ratio(100, 0), None);
/// ```
pub fn compression_ratio(numel: usize, nnz: usize) -> Option<f64> {
    (nnz > 0).then(|| numel as f64 / nnz as f64)
}
