//! Which weights of a checkpoint go: those whose `log_alpha` is not under the threshold.

use vbd_core::spec::WeightSpec;
use vbd_core::train::Checkpoint;
use vbd_core::weight::{LayerParameters, VariationalWeight};

use crate::error::{Error, Result};
use crate::format::{Layout, Method, Provenance, PrunedFile, ValueType};
use crate::matrix::SparseMatrix;
use crate::net::{PrunedLayer, PrunedNet};
use crate::open::Opened;

/// How to prune.
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `threshold` | the training's | at most the training's | weights whose `log_alpha` is not under it go
/// `layout` | the smallest file | [`Layout::ALL`] | how weights are stored
/// `values` | f32; of a pruned file, its own | [`ValueType::ALL`] | type of weights and biases
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PruneOptions {
    /// Weights whose `log_alpha` is not under it go.
    pub threshold: Option<f32>,
    /// The layout of all weights; `None` for the one that is smallest for each.
    pub layout: Option<Layout>,
    /// The type of weights and biases.
    pub values: Option<ValueType>,
}

/// Prunes a checkpoint, or gives a pruned file another layout or type.
///
/// # Errors
/// [`Error::ThresholdAboveTraining`], [`Error::ThresholdWithoutPosterior`] or
/// [`Error::ThresholdNotFinite`] if the threshold cannot be applied; [`Error::Overflow`] or
/// [`Error::NotFinite`] if a value does not fit its type.
pub fn prune(from: &Opened, options: &PruneOptions) -> Result<PrunedFile> {
    match from {
        Opened::Checkpoint { checkpoint, .. } => {
            let net = PrunedNet::from_checkpoint(checkpoint, options.threshold)?;
            PrunedFile::new(&net, options.layout, options.values.unwrap_or_default())
        }
        Opened::Pruned { file, .. } => {
            if let Some(threshold) = options.threshold {
                let what = "a pruned file";
                return Err(Error::ThresholdWithoutPosterior { threshold, what });
            }
            let values = options.values.unwrap_or(file.values());
            PrunedFile::new(file.net(), options.layout, values)
        }
    }
}

impl PrunedNet {
    /// The weights of a checkpoint that are kept at `threshold`, by default the training's. Of plain
    /// weights, those that are not 0.
    ///
    /// # Errors
    /// [`Error::ThresholdAboveTraining`], [`Error::ThresholdWithoutPosterior`] or
    /// [`Error::ThresholdNotFinite`] if the threshold cannot be applied; [`Error::NotFinite`] if a
    /// parameter is no number.
    pub fn from_checkpoint(checkpoint: &Checkpoint, threshold: Option<f32>) -> Result<Self> {
        let threshold = applied_threshold(checkpoint, threshold)?;
        if let Some(tensor) = checkpoint.parameters.not_finite() {
            return Err(Error::NotFinite {
                tensor,
                value: f32::NAN,
            });
        }
        let specs = checkpoint.spec.weights()?;
        check_shapes(checkpoint, &specs)?;
        let layers = specs.into_iter().zip(&checkpoint.parameters.layers);
        let image = |asked: bool, values: &Vec<f32>| asked.then(|| values.clone());
        let (rule, measured) = (&checkpoint.spec.normalize, &checkpoint.normalizer);
        Ok(Self {
            spec: checkpoint.spec.clone(),
            method: Some(Method::of(checkpoint)),
            threshold,
            provenance: Provenance::of(checkpoint, threshold),
            layers: layers
                .map(|(spec, layer)| kept_layer(spec, layer, threshold))
                .collect(),
            mean: image(rule.mean.is_image(), &measured.mean),
            std: image(rule.std.is_image(), &measured.std),
        })
    }
}

/// Parameters that do not belong to the network come from no file, but from a caller's hand.
fn check_shapes(checkpoint: &Checkpoint, specs: &[WeightSpec]) -> Result<()> {
    let layers = &checkpoint.parameters.layers;
    for (index, spec) in specs.iter().enumerate() {
        let found = layers
            .get(index)
            .map_or(&[][..], |layer| layer.weight.shape());
        let bias = layers.get(index).map_or(0, |layer| layer.bias.value.len());
        if found != spec.shape || bias != spec.rows() {
            let (found, expected) = (found.to_vec(), spec.shape.clone());
            return Err(vbd_core::Error::Shape {
                name: spec.layer.clone(),
                found,
                expected,
            }
            .into());
        }
    }
    Ok(())
}

/// The threshold that applies; `None` where no weight has a posterior.
fn applied_threshold(checkpoint: &Checkpoint, threshold: Option<f32>) -> Result<Option<f32>> {
    let mut weights = checkpoint
        .parameters
        .layers
        .iter()
        .map(|layer| &layer.weight);
    let trained = checkpoint.recipe.method.log_alpha_threshold;
    let variational = weights.any(|weight| weight.log_sigma2().is_some());
    match threshold {
        None => Ok(variational.then_some(trained)),
        Some(threshold) if !variational => Err(Error::ThresholdWithoutPosterior {
            threshold,
            what: "a dense checkpoint",
        }),
        Some(threshold) if !threshold.is_finite() => Err(Error::ThresholdNotFinite { threshold }),
        Some(threshold) if threshold > trained => {
            Err(Error::ThresholdAboveTraining { threshold, trained })
        }
        Some(threshold) => Ok(Some(threshold)),
    }
}

fn kept_layer(spec: WeightSpec, layer: &LayerParameters, threshold: Option<f32>) -> PrunedLayer {
    // A plain weight looks at no threshold.
    let weight = kept_entries(&layer.weight, threshold.unwrap_or_default(), &spec);
    let bias = layer.bias.value.clone();
    PrunedLayer {
        name: spec.layer,
        kind: spec.kind,
        shape: spec.shape,
        weight,
        bias,
    }
}

fn kept_entries(weight: &VariationalWeight, threshold: f32, spec: &WeightSpec) -> SparseMatrix {
    let theta = &weight.theta().value;
    let kept = weight.kept(threshold).enumerate().filter(|&(_, kept)| kept);
    let entries = kept.map(|(index, _)| {
        let place = weight.live().map_or(index, |live| live[index] as usize);
        (place, theta[index])
    });
    SparseMatrix::from_places([spec.rows(), spec.cols()], weight.nnz(threshold), entries)
}
