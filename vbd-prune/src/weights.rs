//! Prunes checkpoints: weights and units with `log_alpha` at or above the threshold.

use std::sync::Arc;

use vbd_core::gate::Gate;
use vbd_core::recipe::WeightSetting;
use vbd_core::train::Checkpoint;
use vbd_core::weight::LayerParameters;
use vbd_core::weight::UnitFactors;
use vbd_net::graph::{Rewiring, Source, WeightSpec};
use vbd_net::ops::Scale;
use vbd_net::spec::{LayerSpec, NetSpec};
use vbd_net::{
    Layout, NetTensors, NormTensors, Origin, PrunedFile, PrunedLayer, PrunedNet, SparseMatrix,
    UnitScale, ValueType,
};

use crate::error::{Error, Result};
use crate::open::ModelFile;
use crate::origin::{method_of, provenance_of};

/// Options of pruning.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `threshold` | the training's | at most the training's | weights and units with `log_alpha` at or above this are pruned
/// `structured` | false | | whether to remove dead units with all their weights, which shrinks the net
/// `layout` | the smallest file | [`Layout::ALL`] | storage layout of the weights
/// `values` | f32, or that of a pruned file | [`ValueType::ALL`] | type of weights and biases
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PruneOptions {
    /// Threshold of `log_alpha`: weights and units at or above it are pruned.
    pub threshold: Option<f32>,
    /// Whether to remove dead units with all their weights, which shrinks the net.
    pub structured: bool,
    /// Layout of all weights; `None` for the smallest of each.
    pub layout: Option<Layout>,
    /// Type of weights and biases.
    pub values: Option<ValueType>,
}

/// Prunes a checkpoint, or re-encodes a pruned file.
///
/// # Errors
/// [`Error::ThresholdAboveTraining`], [`Error::ThresholdWithoutPosterior`] or
/// [`Error::ThresholdNotFinite`] if the threshold cannot be applied; [`vbd_net::Error::Overflow`] or
/// [`vbd_net::Error::NotFinite`] if a value does not fit its type.
pub fn prune(from: &ModelFile, options: &PruneOptions) -> Result<PrunedFile> {
    let (net, values) = match from {
        ModelFile::Checkpoint { checkpoint, .. } => {
            let net = prune_checkpoint(checkpoint, options.threshold)?;
            (net, ValueType::default())
        }
        ModelFile::Pruned { file, .. } => {
            if let Some(threshold) = options.threshold {
                let what = "a pruned file";
                return Err(Error::ThresholdWithoutPosterior { threshold, what });
            }
            (file.net().clone(), file.values())
        }
        ModelFile::Weights { path, .. } => {
            let path = path.clone();
            return Err(Error::NoNetwork { path });
        }
    };
    let net = if options.structured {
        net.shrunk()?
    } else {
        net
    };
    let values = options.values.unwrap_or(values);
    Ok(PrunedFile::new(&net, options.layout, values)?)
}

/// Prunes a checkpoint at `threshold`, by default the training's. Plain weights are kept if
/// nonzero. Units at or above their gates' thresholds are pruned with their weights; the factors of
/// the others are folded into the weights that read them.
///
/// # Errors
/// [`Error::ThresholdAboveTraining`], [`Error::ThresholdWithoutPosterior`] or
/// [`Error::ThresholdNotFinite`] if the threshold cannot be applied; [`vbd_net::Error::NotFinite`]
/// if a parameter is NaN or infinite.
pub fn prune_checkpoint(checkpoint: &Checkpoint, threshold: Option<f32>) -> Result<PrunedNet> {
    let thresholds = threshold.map_or(Thresholds::Training, Thresholds::All);
    prune_at(checkpoint, thresholds)
}

/// Thresholds at which a checkpoint is pruned, at most those of its training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Thresholds {
    /// Those of the training.
    Training,
    /// One for all weights and gates.
    All(f32),
    /// Another one for a single weight.
    OfWeight { number: usize, threshold: f32 },
    /// Another one for a single gate.
    OfGate { number: usize, threshold: f32 },
}

impl Thresholds {
    fn of_weight(self, weight: usize) -> Option<f32> {
        match self {
            Self::All(threshold) => Some(threshold),
            Self::OfWeight { number, threshold } => (number == weight).then_some(threshold),
            Self::Training | Self::OfGate { .. } => None,
        }
    }

    fn of_gate(self, gate: usize) -> Option<f32> {
        match self {
            Self::All(threshold) => Some(threshold),
            Self::OfGate { number, threshold } => (number == gate).then_some(threshold),
            Self::Training | Self::OfWeight { .. } => None,
        }
    }
}

/// Prunes a checkpoint at these thresholds. See [`prune_checkpoint`].
pub(crate) fn prune_at(checkpoint: &Checkpoint, thresholds: Thresholds) -> Result<PrunedNet> {
    let method = &checkpoint.recipe.method;
    let gates = Gate::all(&checkpoint.spec, method)?;
    let mut settings = method.of_weights(&checkpoint.spec)?;
    let variational = settings.iter();
    let variational: Vec<f32> = variational
        .filter_map(|setting| setting.method.log_alpha_threshold())
        .collect();
    let of_gates = gates.iter().filter_map(Gate::log_alpha_threshold);
    let all: Vec<f32> = variational.iter().copied().chain(of_gates).collect();
    let threshold = match thresholds {
        Thresholds::All(threshold) => Some(threshold),
        _ => None,
    };
    check_threshold(&all, threshold)?;
    let same = |trained: &f32, threshold: f32| trained.total_cmp(&threshold).is_eq();
    let as_trained = match thresholds {
        Thresholds::Training => true,
        Thresholds::All(threshold) => all.iter().all(|t| same(t, threshold)),
        Thresholds::OfWeight { .. } | Thresholds::OfGate { .. } => false,
    };
    // The file records one threshold, if all weights share it.
    let one = variational.first().copied();
    let is_shared = !matches!(thresholds, Thresholds::OfWeight { .. });
    let one = one.filter(|&one| is_shared && variational.iter().all(|t| same(t, one)));
    let applied = threshold.or(one);
    if let Some(tensor) = checkpoint.parameters.not_finite() {
        return Err(vbd_net::Error::NotFinite {
            tensor,
            value: f32::NAN,
        }
        .into());
    }
    let specs = checkpoint.spec.weights()?;
    check_shapes(checkpoint, &specs, &settings, &gates)?;
    for (number, setting) in settings.iter_mut().enumerate() {
        if let Some(threshold) = thresholds.of_weight(number) {
            let other = setting.method.with_threshold(threshold);
            setting.method = other.unwrap_or_else(|| Arc::clone(&setting.method));
        }
    }
    let gates = gates.into_iter().enumerate();
    let gates = gates.map(|(number, gate)| match thresholds.of_gate(number) {
        Some(threshold) => gate.with_threshold(threshold),
        None => gate,
    });
    let gates: Vec<Gate> = gates.collect();
    let mut parameters = checkpoint.parameters.clone();
    parameters.prune(&settings, &gates);
    let factors = parameters.fold(&gates);
    let (spec, scales) = with_scales(&checkpoint.spec, &factors)?;
    let layers = specs.into_iter().zip(parameters.layers);
    let norms = parameters.norms.into_iter().map(|norm| NormTensors {
        name: norm.name,
        weight: norm.weight.value,
        bias: norm.bias.value,
        running_mean: norm.running_mean,
        running_var: norm.running_var,
    });
    let image = |asked: bool, values: &Vec<f32>| asked.then(|| values.clone());
    let (rule, measured) = (&checkpoint.spec.normalize, &checkpoint.normalizer);
    let parts = NetTensors {
        layers: layers
            .map(|(spec, layer)| kept_layer(spec, layer))
            .collect(),
        selections: Vec::new(),
        scales,
        norms: norms.collect(),
        mean: image(rule.mean.is_image(), &measured.mean),
        std: image(rule.std.is_image(), &measured.std),
    };
    let origin = Origin {
        method: Some(method_of(&checkpoint.recipe.method)),
        threshold: applied,
        provenance: provenance_of(checkpoint, as_trained),
    };
    Ok(PrunedNet::new(spec, parts, origin)?)
}

/// Adds a `scale` after each node whose units have factors that cannot be folded, read by all
/// consumers of the node.
fn with_scales(spec: &NetSpec, factors: &[UnitFactors]) -> Result<(NetSpec, Vec<UnitScale>)> {
    if factors.is_empty() {
        return Ok((spec.clone(), Vec::new()));
    }
    let graph = spec.resolve()?;
    let (mut layers, mut scales) = (Rewiring::new(spec), Vec::new());
    let mut sources = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes() {
        let reads = node.inputs.iter().map(|input| sources[input.index()]);
        let reads = reads.collect();
        let mut source = match graph.layer(id, spec) {
            Some(layer) => layers.push(layer.clone(), reads),
            None => Source::Input,
        };
        for factor in factors.iter().filter(|factor| factor.node == id) {
            let mut stem: String = node
                .label
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect();
            stem.push_str("_scale");
            let name = layers.free_name(&stem);
            scales.push(UnitScale {
                name: name.clone(),
                bias: vec![0.0; factor.theta.len()],
                weight: factor.theta.clone(),
            });
            let scale = LayerSpec::Scale(Scale { name, input: None });
            source = layers.push(scale, vec![source]);
        }
        sources.push(source);
    }
    let spec = NetSpec {
        layers: layers.finish(),
        ..spec.clone()
    };
    Ok((spec, scales))
}

/// Checks that the parameters match the network. Files are checked earlier; a caller's parameters
/// are not.
fn check_shapes(
    checkpoint: &Checkpoint,
    specs: &[WeightSpec],
    settings: &[WeightSetting],
    gates: &[Gate],
) -> Result<()> {
    checkpoint
        .parameters
        .check(&checkpoint.spec.resolve()?, gates)?;
    let layers = &checkpoint.parameters.layers;
    for ((layer, spec), setting) in layers.iter().zip(specs).zip(settings) {
        layer.check(&spec.layer, &spec.shape, &*setting.method)?;
        let bias = layer.bias.value.len();
        if bias != spec.rows() {
            return Err(vbd_core::Error::Shape {
                name: format!("{}.bias", spec.layer),
                found: vec![bias],
                expected: vec![spec.rows()],
            }
            .into());
        }
    }
    Ok(())
}

/// Checks that a threshold can be applied to weights trained at `trained`.
fn check_threshold(trained: &[f32], threshold: Option<f32>) -> Result<()> {
    let least = trained.iter().copied().reduce(f32::min);
    match (threshold, least) {
        (Some(threshold), None) => Err(Error::ThresholdWithoutPosterior {
            threshold,
            what: "a dense checkpoint",
        }),
        (Some(threshold), _) if !threshold.is_finite() => {
            Err(Error::ThresholdNotFinite { threshold })
        }
        (Some(threshold), Some(trained)) if threshold > trained => {
            Err(Error::ThresholdAboveTraining { threshold, trained })
        }
        (None, _) | (Some(_), Some(_)) => Ok(()),
    }
}

fn kept_layer(spec: WeightSpec, layer: LayerParameters) -> PrunedLayer {
    let (weight, theta) = (&layer.weight, &layer.weight.theta().value);
    // Entries that are not kept are 0 by now.
    let entries = theta.iter().enumerate().map(|(index, &theta)| {
        let place = weight.live().map_or(index, |live| live[index] as usize);
        (place, theta)
    });
    let nnz = theta.iter().filter(|&&theta| theta != 0.0).count();
    PrunedLayer {
        weight: SparseMatrix::from_places([spec.rows(), spec.cols()], nnz, entries),
        bias: layer.bias.value,
        name: spec.layer,
        kind: spec.kind,
        shape: spec.shape,
    }
}
