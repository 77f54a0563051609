//! The report of `vbd inspect` for a weights file.

use std::collections::BTreeSet;

use serde::Serialize;
use vbd_core::train::compression_ratio;
use vbd_net::ValueType;
use vbd_net::format::{StoredWeight, WEIGHTS_KIND, WEIGHTS_VERSION, WeightsFile};

use super::sparsity;

/// Sizes and sparsity of a weights file. Serialises to the fields of `vbd inspect --json` that do not
/// depend on a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightsReport {
    /// `weights`.
    pub format: &'static str,
    /// Version of the format.
    pub version: u32,
    /// Always `None`: the file has no network.
    pub model: Option<String>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Bytes of all tensors with dense f32 weights.
    pub dense_bytes: u64,
    /// `dense_bytes / bytes`.
    pub size_ratio: f64,
    /// Number of entries of all sparse weights.
    pub numel: usize,
    /// Number of kept entries.
    pub nnz: usize,
    /// `1 - nnz / numel`.
    pub sparsity: f64,
    /// `numel / nnz`; `None` if nothing is kept.
    pub compression_ratio: Option<f64>,
    /// Type of the weights' values.
    pub values: ValueType,
    /// Threshold of `log_alpha` at which the weights were pruned.
    pub threshold: Option<f32>,
    /// Reports of the weights.
    pub layers: Vec<WeightReport>,
    /// Names of the other tensors.
    pub others: Vec<String>,
}

/// One weight of a [`WeightsReport`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightReport {
    /// Name of the layer.
    pub name: String,
    /// Kind of layer, derived from the shape: `linear`, `conv2d`, or else `weight`.
    pub kind: &'static str,
    /// Shape of the weight.
    pub shape: Vec<usize>,
    /// Number of entries.
    pub numel: usize,
    /// Number of kept entries.
    pub nnz: usize,
    /// `1 - nnz / numel`.
    pub sparsity: f64,
    /// Storage layout.
    pub layout: &'static str,
    /// Bytes of the weight's tensors, without header entries.
    pub bytes: u64,
    /// Number of inputs with at least one kept weight.
    pub live_inputs: usize,
    /// Number of outputs with at least one kept weight.
    pub live_outputs: usize,
}

impl WeightsReport {
    /// Creates the report of a weights file.
    pub fn new(file: &WeightsFile) -> Self {
        let layers: Vec<WeightReport> = file.weights().iter().map(WeightReport::new).collect();
        let numel = layers.iter().map(|layer| layer.numel).sum();
        let nnz = layers.iter().map(|layer| layer.nnz).sum();
        let others = file.others().values().map(|raw| raw.bytes.len() as u64);
        let dense_bytes = others.sum::<u64>() + (size_of::<f32>() * numel) as u64;
        Self {
            format: WEIGHTS_KIND,
            version: WEIGHTS_VERSION,
            model: None,
            bytes: file.bytes(),
            dense_bytes,
            size_ratio: dense_bytes as f64 / file.bytes() as f64,
            numel,
            nnz,
            sparsity: sparsity(nnz, numel.max(1)),
            compression_ratio: compression_ratio(numel, nnz),
            values: file.values(),
            threshold: file.threshold(),
            layers,
            others: file.others().keys().cloned().collect(),
        }
    }
}

impl WeightReport {
    fn new(weight: &StoredWeight) -> Self {
        let matrix = &weight.matrix;
        let area: usize = weight.shape[2..].iter().product();
        let inputs = matrix.col_idx().iter();
        let inputs: BTreeSet<usize> = inputs.map(|&col| col as usize / area).collect();
        let rows = matrix.row_ptr().windows(2);
        let name = weight.name.strip_suffix(".weight").unwrap_or(&weight.name);
        Self {
            name: name.to_owned(),
            kind: match weight.shape.len() {
                2 => "linear",
                4 => "conv2d",
                _ => "weight",
            },
            shape: weight.shape.clone(),
            numel: matrix.numel(),
            nnz: matrix.nnz(),
            sparsity: sparsity(matrix.nnz(), matrix.numel()),
            layout: weight.layout.as_str(),
            bytes: weight.bytes,
            live_inputs: inputs.len(),
            live_outputs: rows.filter(|row| row[0] < row[1]).count(),
        }
    }
}
