//! Sensitivity: the error of a net in which one layer, or one gate, is cut at a lower threshold.
//!
//! The thresholds are quantiles of the `log_alpha` that the layer has left, so that all layers are
//! cut to the same sparsities. Nothing is trained again.

use serde::Serialize;
use vbd_core::gate::Gate;
use vbd_core::train::Checkpoint;
use vbd_net::PrunedNet;
use vbd_net::data::Samples;

use crate::error::{Error, Result};
use crate::open::ModelFile;
use crate::sparse_net::SparseNet;
use crate::weights::{Thresholds, prune_at};

/// Sparsities to cut to, of those above the training's.
const SPARSITIES: [f64; 10] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999];

/// Error of a net against the threshold of each layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The net at the thresholds of its training.
    pub uncut: Measured,
    /// Each weight and gate that is pruned by a threshold, in network order, gates last.
    #[serde(rename = "sensitivity")]
    pub layers: Vec<LayerSensitivity>,
}

/// Cuts of one layer, all others as trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSensitivity {
    /// Name of the layer, or `gate.NAME`.
    pub name: String,
    /// Number of entries of the weight, or of units of the gate.
    pub numel: usize,
    /// The training's threshold first, then lower ones.
    pub rows: Vec<Cut>,
}

/// One layer cut at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cut {
    /// Threshold of `log_alpha`: entries and units at or above it are cut.
    pub threshold: f32,
    /// Number of kept entries or units.
    pub nnz: usize,
    /// `1 - nnz / numel`.
    pub sparsity: f64,
    /// Result with this cut.
    #[serde(flatten)]
    pub measured: Measured,
}

/// Error of a classifier, or loss of another net.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Measured {
    /// Fraction of misclassified samples, and mean cross-entropy in nats.
    Classes {
        /// Fraction of misclassified samples.
        test_error: f64,
        /// Mean cross-entropy in nats.
        nll: f64,
    },
    /// Mean squared error.
    Values {
        /// Squared error, averaged over samples and outputs.
        test_loss: f64,
    },
}

impl Measured {
    fn of(net: &PrunedNet, samples: &Samples) -> Result<Self> {
        let evaluation = SparseNet::new(net)?.evaluate(samples)?;
        let value = evaluation.quality().value();
        Ok(match evaluation.nll() {
            Some(nll) => Self::Classes {
                test_error: value,
                nll,
            },
            None => Self::Values { test_loss: value },
        })
    }

    /// Returns the error or loss.
    pub fn value(self) -> f64 {
        match self {
            Self::Classes { test_error, .. } => test_error,
            Self::Values { test_loss } => test_loss,
        }
    }
}

/// Measures the sensitivity of a checkpoint.
///
/// # Errors
/// [`Error::NothingToCut`] if the file is not a checkpoint or nothing in it is pruned by a threshold;
/// those of [`prune_checkpoint`](crate::prune_checkpoint) and [`SparseNet::evaluate`].
pub fn sensitivity(model: &ModelFile, samples: &Samples) -> Result<Sensitivity> {
    let checkpoint = pruned(check(model)?)?;
    let places = Place::all(&checkpoint)?;
    let uncut = Measured::of(&prune_at(&checkpoint, Thresholds::Training)?, samples)?;
    let layers = places.into_iter().map(|place| {
        let mut rows = vec![place.cut(place.trained, place.log_alpha.len(), uncut)];
        for threshold in place.thresholds() {
            let net = prune_at(&checkpoint, place.at(threshold))?;
            let kept = match place.slot {
                Slot::Weight(number) => net.layers()[number].weight.nnz(),
                Slot::Gate(number) => kept_units(&checkpoint, number, threshold)?,
            };
            rows.push(place.cut(threshold, kept, Measured::of(&net, samples)?));
        }
        Ok(LayerSensitivity {
            name: place.name,
            numel: place.numel,
            rows,
        })
    });
    Ok(Sensitivity {
        uncut,
        layers: layers.collect::<Result<_>>()?,
    })
}

/// Checks that something in a file can be cut at other thresholds. Returns its checkpoint.
///
/// # Errors
/// [`Error::NothingToCut`] if the file is not a checkpoint or nothing in it is pruned by a threshold.
pub fn check(model: &ModelFile) -> Result<&Checkpoint> {
    let refused = |what| Error::NothingToCut {
        path: model.path().to_path_buf(),
        what,
    };
    let ModelFile::Checkpoint { checkpoint, .. } = model else {
        return Err(refused("a pruned file has no log_sigma2"));
    };
    if Place::all(checkpoint)?.is_empty() {
        return Err(refused("no weight and no gate has a threshold"));
    }
    Ok(checkpoint)
}

/// Returns a checkpoint with everything pruned at the thresholds of its training, in its smallest
/// form.
fn pruned(checkpoint: &Checkpoint) -> Result<Checkpoint> {
    // Refuses parameters that do not match the network.
    prune_at(checkpoint, Thresholds::Training)?;
    let (spec, method) = (&checkpoint.spec, &checkpoint.recipe.method);
    let mut pruned = checkpoint.clone();
    let (settings, gates) = (method.of_weights(spec)?, Gate::all(spec, method)?);
    pruned.parameters.prune(&settings, &gates);
    for layer in &mut pruned.parameters.layers {
        layer.weight = layer.weight.to_smallest();
    }
    Ok(pruned)
}

/// Returns the number of units that a gate keeps at a threshold.
fn kept_units(checkpoint: &Checkpoint, number: usize, threshold: f32) -> Result<usize> {
    let mut gates = Gate::all(&checkpoint.spec, &checkpoint.recipe.method)?;
    gates[number] = gates[number].clone().with_threshold(threshold);
    let kept = &checkpoint.parameters.kept_units(&gates)[number];
    Ok(kept.iter().filter(|&&kept| kept).count())
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Weight(usize),
    Gate(usize),
}

/// A weight or gate that can be cut.
struct Place {
    name: String,
    slot: Slot,
    /// Threshold of the training.
    trained: f32,
    numel: usize,
    /// `log_alpha` of what the training keeps, increasing.
    log_alpha: Vec<f64>,
}

impl Place {
    /// Returns what can be cut in a pruned checkpoint.
    fn all(checkpoint: &Checkpoint) -> Result<Vec<Self>> {
        let (spec, method) = (&checkpoint.spec, &checkpoint.recipe.method);
        let mut places = Vec::new();
        let layers = checkpoint.parameters.layers.iter();
        for (number, (layer, setting)) in layers.zip(method.of_weights(spec)?).enumerate() {
            let log_alpha = setting.method.log_alpha(layer.weight.view());
            let threshold = setting.method.log_alpha_threshold();
            let slot = Slot::Weight(number);
            let numel = layer.weight.numel();
            places.extend(Self::new(&layer.name, slot, numel, threshold, log_alpha));
        }
        let gates = Gate::all(spec, method)?;
        let own = checkpoint.parameters.gates.iter();
        for (number, (parameters, gate)) in own.zip(&gates).enumerate() {
            let name = format!("gate.{}", gate.after);
            let log_alpha = gate.log_alpha(parameters);
            let threshold = gate.log_alpha_threshold();
            let slot = Slot::Gate(number);
            places.extend(Self::new(&name, slot, gate.units, threshold, log_alpha));
        }
        Ok(places)
    }

    fn new(
        name: &str,
        slot: Slot,
        numel: usize,
        threshold: Option<f32>,
        log_alpha: Option<Vec<f64>>,
    ) -> Option<Self> {
        // What is dead has none.
        let live = log_alpha?.into_iter().filter(|value| value.is_finite());
        let mut log_alpha: Vec<f64> = live.collect();
        log_alpha.sort_by(f64::total_cmp);
        Some(Self {
            name: name.to_owned(),
            slot,
            trained: threshold?,
            numel,
            log_alpha,
        })
    }

    /// Returns thresholds below the training's, falling: one for each of [`SPARSITIES`] that they
    /// bring about, halfway between two values.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the entries, and thresholds are f32"
    )]
    fn thresholds(&self) -> Vec<f32> {
        let mut before = self.log_alpha.len();
        let thresholds = SPARSITIES.iter().filter_map(|sparsity| {
            let kept = ((1.0 - sparsity) * self.numel as f64).round() as usize;
            if kept == 0 || kept >= before {
                return None;
            }
            before = kept;
            Some((0.5 * (self.log_alpha[kept - 1] + self.log_alpha[kept])) as f32)
        });
        thresholds.collect()
    }

    fn at(&self, threshold: f32) -> Thresholds {
        match self.slot {
            Slot::Weight(number) => Thresholds::OfWeight { number, threshold },
            Slot::Gate(number) => Thresholds::OfGate { number, threshold },
        }
    }

    fn cut(&self, threshold: f32, nnz: usize, measured: Measured) -> Cut {
        Cut {
            threshold,
            nnz,
            sparsity: 1.0 - nnz as f64 / self.numel as f64,
            measured,
        }
    }
}
