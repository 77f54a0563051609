//! The report of `vbd inspect`: sizes and sparsity, layer by layer.

mod histogram;
mod structure;
mod warning;
mod weights;

use std::collections::BTreeSet;

use serde::Serialize;
use vbd_core::gate::Gate;
use vbd_core::train::{self, Checkpoint, GateCount, compression_ratio};
use vbd_core::weight::Weight;
use vbd_net::spec::{LayerKind, Loss};

pub use histogram::Histogram;
pub use structure::{Structure, UnitCount};
pub use warning::ReportWarning;
pub use weights::{WeightReport, WeightsReport};

use crate::error::{Error, Result};
use crate::open::ModelFile;
use crate::weights::prune_checkpoint;
use vbd_net::PrunedNet;
use vbd_net::format::{self, Method, Provenance, PrunedFile, ValueType};
use vbd_net::runtime::{Kernel, Plan};

/// Sizes and sparsity of a file. Serialises to the JSON of `vbd inspect --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `checkpoint` or `pruned`.
    pub format: &'static str,
    /// Version of the format.
    pub version: u32,
    /// Name of the network.
    pub model: String,
    /// Loss of the network.
    pub loss: Loss,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Size of the original net as a dense f32 file in bytes.
    pub dense_bytes: u64,
    /// `dense_bytes / bytes`.
    pub size_ratio: f64,
    /// Number of entries of all weights, excluding biases.
    pub numel: usize,
    /// Number of kept entries.
    pub nnz: usize,
    /// `1 - nnz / numel`.
    pub sparsity: f64,
    /// `numel / nnz`; `None` if nothing is kept.
    pub compression_ratio: Option<f64>,
    /// Type of weights and biases in a pruned file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<ValueType>,
    /// Threshold of `log_alpha`; `None` if the zeros decide what is kept.
    pub threshold: Option<f32>,
    /// Whether the outputs do not depend on the inputs, because no weights connect them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub constant_output: bool,
    /// Reports of the layers.
    pub layers: Vec<LayerReport>,
    /// Units, parameters and multiply-adds of the original and the shrunk net.
    pub structure: Structure,
    /// Units kept by each gate of a checkpoint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateCount>,
    /// Histogram of the `log_alpha` of all weights, if the file has posteriors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_alpha: Option<Histogram>,
    /// Method of training, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Provenance of the net.
    pub provenance: Provenance,
}

/// One layer of a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// Name of the layer.
    pub name: String,
    /// Kind of the layer.
    pub kind: LayerKind,
    /// Shape of the weight.
    pub shape: Vec<usize>,
    /// Number of groups of channels that do not mix; absent in JSON if 1.
    #[serde(skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Names of the batch normalisations that are folded into the layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folded: Vec<String>,
    /// Number of entries of the weight.
    pub numel: usize,
    /// Number of kept entries.
    pub nnz: usize,
    /// `1 - nnz / numel`.
    pub sparsity: f64,
    /// Storage of the weight: the name of a [`Layout`](vbd_net::Layout), or `dense` or `compact` in
    /// a checkpoint.
    pub layout: &'static str,
    /// Bytes of the weight's tensors, without header entries and bias; in a checkpoint including
    /// states and moments.
    pub bytes: u64,
    /// Number of inputs (input channels) with at least one kept weight.
    pub live_inputs: usize,
    /// Number of outputs (output channels) with at least one kept weight.
    pub live_outputs: usize,
    /// Kernel for many samples; `None` if the net is too large to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// Kernel for one sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_one: Option<Kernel>,
    /// Remaining multiply-adds per sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiply_adds: Option<usize>,
    /// Histogram of the weights' `log_alpha`, if the file has posteriors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_alpha: Option<Histogram>,
}

impl Report {
    /// Creates the report of an opened file.
    ///
    /// # Errors
    /// For a checkpoint, those of [`prune_checkpoint`]; for a weights file, [`Error::NoNetwork`]: use
    /// [`WeightsReport`] instead.
    pub fn new(file: &ModelFile) -> Result<Self> {
        match file {
            ModelFile::Checkpoint {
                checkpoint, bytes, ..
            } => Self::of_checkpoint(checkpoint, *bytes),
            ModelFile::Pruned { file, .. } => Self::of_file(file),
            ModelFile::Weights { path, .. } => Err(Error::NoNetwork { path: path.clone() }),
        }
    }

    /// Creates the report of a pruned file.
    ///
    /// # Errors
    /// None for a file created by this crate.
    pub fn of_file(file: &PrunedFile) -> Result<Self> {
        let net = file.net();
        let layers =
            net.layers()
                .iter()
                .zip(file.storage())
                .enumerate()
                .map(|(number, (_, storage))| {
                    layer_report(net, number, storage.layout.as_str(), storage.bytes)
                });
        Ok(Self {
            values: Some(file.values()),
            ..Self::assemble(
                format::KIND,
                file.version(),
                file.bytes(),
                net,
                layers.collect(),
            )?
        })
    }

    /// Creates the report of a checkpoint of `bytes` on disk, at the training threshold.
    ///
    /// # Errors
    /// Those of [`prune_checkpoint`].
    pub fn of_checkpoint(checkpoint: &Checkpoint, bytes: u64) -> Result<Self> {
        let net = prune_checkpoint(checkpoint, None)?;
        let settings = checkpoint.recipe.method.of_weights(&checkpoint.spec)?;
        let parameters = checkpoint.parameters.layers.iter().zip(&settings);
        let layers = net.layers().iter().zip(parameters).enumerate().map(
            |(number, (_, (parameters, setting)))| {
                let weight = &parameters.weight;
                let layout = if weight.live().is_some() {
                    "compact"
                } else {
                    "dense"
                };
                let report = layer_report(&net, number, layout, checkpoint_bytes(weight));
                LayerReport {
                    log_alpha: Histogram::of(weight, &*setting.method),
                    ..report
                }
            },
        );
        let layers: Vec<LayerReport> = layers.collect();
        let histograms = layers.iter().filter_map(|layer| layer.log_alpha.as_ref());
        let log_alpha = Histogram::sum(histograms);
        let report = Self::assemble(train::KIND, train::VERSION, bytes, &net, layers)?;
        Ok(Self {
            log_alpha,
            gates: gate_counts(checkpoint)?,
            ..report
        })
    }

    fn assemble(
        format: &'static str,
        version: u32,
        bytes: u64,
        net: &PrunedNet,
        mut layers: Vec<LayerReport>,
    ) -> Result<Self> {
        let plan = Plan::new(net);
        let constant_output = plan.as_ref().is_ok_and(|plan| plan.live_inputs() == 0);
        if let Ok(plan) = plan {
            for (layer, plan) in layers.iter_mut().zip(plan.layers()) {
                layer.kernel = Some(plan.kernel);
                layer.kernel_one = Some(plan.kernel_one);
                layer.multiply_adds = Some(plan.multiply_adds);
            }
        }
        let numel = layers.iter().map(|layer| layer.numel).sum();
        let nnz = layers.iter().map(|layer| layer.nnz).sum();
        let dense_bytes = format::dense_bytes(net)?;
        Ok(Self {
            format,
            version,
            model: net.spec().name.clone(),
            loss: net.spec().loss,
            bytes,
            dense_bytes,
            size_ratio: dense_bytes as f64 / bytes as f64,
            numel,
            nnz,
            sparsity: sparsity(nnz, numel),
            compression_ratio: compression_ratio(numel, nnz),
            values: None,
            threshold: net.threshold(),
            constant_output,
            layers,
            structure: Structure::of(net)?,
            gates: Vec::new(),
            log_alpha: None,
            method: net.method().cloned(),
            provenance: net.provenance().clone(),
        })
    }
}

/// Counts the units that each gate keeps at its own threshold.
fn gate_counts(checkpoint: &Checkpoint) -> Result<Vec<GateCount>> {
    let method = &checkpoint.recipe.method;
    let gates = Gate::all(&checkpoint.spec, method)?;
    let mut pruned = checkpoint.parameters.clone();
    pruned.prune(&method.of_weights(&checkpoint.spec)?, &gates);
    Ok(GateCount::of(&pruned, &gates))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(value: &usize) -> bool {
    *value == 1
}

fn sparsity(nnz: usize, numel: usize) -> f64 {
    1.0 - nnz as f64 / numel as f64
}

/// Creates the report of a net's weight by its number.
fn layer_report(net: &PrunedNet, number: usize, layout: &'static str, bytes: u64) -> LayerReport {
    let (layer, spec) = (&net.layers()[number], &net.graph().weights()[number]);
    let weight = &layer.weight;
    let rows = 0..weight.rows();
    let inputs = rows.flat_map(|row| {
        let columns = weight.row(row).0.iter();
        columns.map(move |&col| spec.first_input(row) + col as usize / spec.taps())
    });
    let inputs: BTreeSet<usize> = inputs.collect();
    let folded = net.provenance().folded.iter();
    LayerReport {
        groups: spec.groups,
        folded: folded
            .filter(|(_, into)| **into == layer.name)
            .map(|(norm, _)| norm.clone())
            .collect(),
        name: layer.name.clone(),
        kind: layer.kind,
        shape: layer.shape.clone(),
        numel: weight.numel(),
        nnz: weight.nnz(),
        sparsity: sparsity(weight.nnz(), weight.numel()),
        layout,
        bytes,
        live_inputs: inputs.len(),
        live_outputs: weight
            .row_ptr()
            .windows(2)
            .filter(|row| row[0] < row[1])
            .count(),
        kernel: None,
        kernel_one: None,
        multiply_adds: None,
        log_alpha: None,
    }
}

/// Returns the bytes of a weight's tensors in a checkpoint: values, two moments each, and indices.
fn checkpoint_bytes(weight: &Weight) -> u64 {
    let places = weight.live().map_or(0, <[u32]>::len);
    ((weight.theta().value.len() * weight.arrays() + places) * size_of::<f32>()) as u64
}
