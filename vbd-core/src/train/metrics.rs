//! Metrics of an epoch.

use serde::{Deserialize, Serialize};

use crate::gate::{Gate, GateKind};
use crate::weight::Parameters;

/// Metrics of an epoch, as a line of `metrics.jsonl`. Fractions are 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch, from 1.
    pub epoch: usize,
    /// `nll + kl_scale * kl_weight / N * kl` in nats.
    pub loss: f64,
    /// Mean negative log-likelihood per sample over the epoch's steps, in nats: cross-entropy, or
    /// half the squared error summed over outputs.
    pub nll: f64,
    /// Total KL over live weights and units at the end of the epoch, in nats, each term scaled by
    /// its layer's or gate's `kl_weight`.
    pub kl: f64,
    /// Factor on the KL at the epoch's last step.
    pub kl_scale: f64,
    /// Learning rate at the epoch's last step.
    pub lr: f64,
    /// Test error of the pruned network, for a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error: Option<f64>,
    /// Mean cross-entropy on the test samples in nats, for a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_nll: Option<f64>,
    /// Squared error of the pruned network averaged over test samples and outputs, for other
    /// networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// Validation error, for a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_error: Option<f64>,
    /// Validation loss, for other networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// Whether the pruned network gives every test sample the same outputs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub constant_output: bool,
    /// Number of prunable weights, excluding biases.
    pub numel: usize,
    /// Number of those kept.
    pub nnz: usize,
    /// `numel / nnz`; `None` if nothing is kept.
    pub compression_ratio: Option<f64>,
    /// Counts of each layer.
    pub layers: Vec<LayerCount>,
    /// Counts of each gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateCount>,
    /// Seconds spent in steps.
    pub train_seconds: f64,
    /// Total seconds of the epoch, including evaluation.
    pub seconds: f64,
    /// Estimated seconds until the end of the run.
    pub eta_seconds: f64,
}

/// Number of weights kept in a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerCount {
    /// Name of the layer.
    pub name: String,
    /// Number of weights.
    pub numel: usize,
    /// Number of those kept.
    pub nnz: usize,
    /// Fraction of zeros.
    pub sparsity: f64,
}

impl LayerCount {
    /// Counts the weights of each layer. Whatever is not kept must be dead in `pruned`.
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

/// Number of units kept by a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateCount {
    /// Position of the gate.
    pub after: String,
    /// Kind of noise. Kinds other than `normal` prune no units and are absent at test time.
    #[serde(default)]
    pub kind: GateKind,
    /// Number of units.
    pub units: usize,
    /// Number of those kept.
    pub kept: usize,
}

impl GateCount {
    /// Counts the units of each gate. Whatever is not kept must be dead in `pruned`.
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

/// `numel / nnz`; `None` if nothing is kept.
///
/// ```
/// use vbd_core::train::compression_ratio;
/// assert_eq!(compression_ratio(100, 4), Some(25.0));
/// assert_eq!(compression_ratio(100, 0), None);
/// ```
pub fn compression_ratio(numel: usize, nnz: usize) -> Option<f64> {
    (nnz > 0).then(|| numel as f64 / nnz as f64)
}
