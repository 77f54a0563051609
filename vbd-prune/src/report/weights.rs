//! What `vbd inspect` reports of a weights file.

use std::collections::BTreeSet;

use serde::Serialize;
use vbd_core::train::compression_ratio;
use vbd_net::ValueType;
use vbd_net::format::{StoredWeight, WEIGHTS_KIND, WEIGHTS_VERSION, WeightsFile};

use super::sparsity;

/// A weights file's sizes and sparsity. As JSON it has the fields of `vbd inspect --json` that need no network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightsReport {
    /// `weights`.
    pub format: &'static str,
    /// Version of the format.
    pub version: u32,
    /// Nothing: the file has no network.
    pub model: Option<String>,
    /// Size of the file.
    pub bytes: u64,
    /// Bytes of all its tensors made dense, weights in f32.
    pub dense_bytes: u64,
    /// `dense_bytes / bytes`.
    pub size_ratio: f64,
    /// Entries of all sparse weights.
    pub numel: usize,
    /// Those that are kept.
    pub nnz: usize,
    /// `1 - nnz / numel`.
    pub sparsity: f64,
    /// `numel / nnz`; `None` where nothing is left.
    pub compression_ratio: Option<f64>,
    /// Type of the sparse weights' values.
    pub values: ValueType,
    /// Threshold of `log_alpha` that decided what is kept.
    pub threshold: Option<f32>,
    /// Weight by weight.
    pub layers: Vec<WeightReport>,
    /// Names of the tensors that are stored as they are.
    pub others: Vec<String>,
}

/// One weight of a [`WeightsReport`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightReport {
    /// Name of its layer.
    pub name: String,
    /// What its shape is that of: `linear`, `conv2d` or `weight`.
    pub kind: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its entries.
    pub numel: usize,
    /// Those that are kept.
    pub nnz: usize,
    /// `1 - nnz / numel`.
    pub sparsity: f64,
    /// How it is stored.
    pub layout: &'static str,
    /// Bytes of its tensors, header entries aside.
    pub bytes: u64,
    /// Inputs with at least one kept weight.
    pub live_inputs: usize,
    /// Outputs with at least one kept weight.
    pub live_outputs: usize,
}

impl WeightsReport {
    /// The report of a weights file.
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
