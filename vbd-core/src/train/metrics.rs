//! What one epoch of a run reports.

use serde::{Deserialize, Serialize};

use crate::weight::Parameters;

/// One epoch, as a line of `metrics.jsonl`. Fractions are 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: usize,
    /// `nll + kl_scale * kl_weight / N * kl`, nats.
    pub loss: f64,
    /// Mean cross-entropy of the epoch's steps, nats a sample.
    pub nll: f64,
    /// Sum of the KL over live weights at the epoch's end, nats.
    pub kl: f64,
    /// Factor on the KL at the epoch's last step.
    pub kl_scale: f64,
    /// Step size at the epoch's last step.
    pub lr: f64,
    /// Error of the pruned network on the test samples.
    pub test_error: f64,
    /// Mean cross-entropy on the test samples, nats.
    pub test_nll: f64,
    /// Error on the samples held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_error: Option<f64>,
    /// Prunable weights, biases excluded.
    pub numel: usize,
    /// Those that are kept.
    pub nnz: usize,
    /// `numel / nnz`; nothing if nothing is kept.
    pub compression_ratio: Option<f64>,
    /// The same for each layer.
    pub layers: Vec<LayerCount>,
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
    /// The counts of each layer at a threshold.
    pub fn of(parameters: &Parameters, log_alpha_threshold: f32) -> Vec<Self> {
        let count = |layer: &crate::weight::LayerParameters| {
            let (numel, nnz) = (layer.weight.numel(), layer.weight.nnz(log_alpha_threshold));
            let sparsity = 1.0 - nnz as f64 / numel as f64;
            Self {
                name: layer.name.clone(),
                numel,
                nnz,
                sparsity,
            }
        };
        parameters.layers.iter().map(count).collect()
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
