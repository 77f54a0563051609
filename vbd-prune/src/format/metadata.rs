//! The JSON of a pruned file: what it is, the network, and where it comes from.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vbd_core::recipe::{GateSetting, LayerSetting, MethodKind};
use vbd_core::spec::NetSpec;
use vbd_core::train::Checkpoint;

use super::ValueType;
use crate::error::{Error, Result};

/// The newest version of the format that this code reads and writes.
pub const VERSION: u32 = 1;
/// What `kind` says in a pruned file's JSON.
pub const KIND: &str = "pruned";

/// The whole JSON under the metadata key `vbd`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) kind: String,
    pub(crate) spec: NetSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Method>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<f32>,
    /// The network that this one was made smaller from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<NetSpec>,
    pub(crate) values: ValueType,
    #[serde(default)]
    pub(crate) provenance: Provenance,
}

/// The method that the weights were trained by. Fields that a reader does not know, it ignores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// `vbd`, `vd`, `vbd-neurons`, `vd-neurons` or `dense`.
    pub kind: String,
    /// The training's threshold, at which weights died for good.
    pub log_alpha_threshold: f32,
    /// What differed for some layers' weights.
    #[serde(default, rename = "layer", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerSetting>,
    /// The gates, folded into the weights.
    #[serde(default, rename = "gate", skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateSetting>,
}

/// Where a net comes from, as far as it is known. Fields that a reader does not know, it ignores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// The recipe's one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// Name of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Seed of every draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whole epochs trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Samples trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_train: Option<usize>,
    /// Factor on the KL; other than 1 it was a tempered posterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_weight: Option<f64>,
    /// Test error as measured in training, of these weights in f32. Absent where there was no such
    /// measurement: in mid-epoch, or at another threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error: Option<f64>,
}

impl Method {
    /// The method of a checkpoint's recipe.
    pub(crate) fn of(checkpoint: &Checkpoint) -> Self {
        let method = &checkpoint.recipe.method;
        Self {
            kind: method_word(method.kind),
            log_alpha_threshold: method.log_alpha_threshold,
            layers: method.layers.clone(),
            gates: method.gates.clone(),
        }
    }
}

/// The word that a recipe has for the method.
fn method_word(kind: MethodKind) -> String {
    let json = serde_json::to_value(kind).ok();
    json.and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

impl Provenance {
    /// What a checkpoint knows of itself; `as_trained` if it is pruned at the training's thresholds.
    pub(crate) fn of(checkpoint: &Checkpoint, as_trained: bool) -> Self {
        let (recipe, progress) = (&checkpoint.recipe, &checkpoint.progress);
        let measured = progress.step_in_epoch == 0 && as_trained;
        Self {
            recipe: Some(recipe.summary.clone()),
            data: Some(checkpoint.data.name.clone()),
            seed: Some(recipe.train.seed),
            epochs: Some(progress.epoch),
            n_train: Some(checkpoint.data.n_train),
            kl_weight: Some(recipe.method.kl_weight),
            test_error: progress.test_error.filter(|_| measured),
        }
    }
}

impl Header {
    /// The JSON; every value of it has a JSON form.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("metadata have text keys and numbers alone")
    }

    /// Reads the JSON; kind and version are looked at first, so that a newer file is told as such.
    pub(crate) fn from_json(json: &str, path: &Path) -> Result<Self> {
        let metadata = |source| Error::Metadata {
            path: path.to_path_buf(),
            source,
        };
        let label: Label = serde_json::from_str(json).map_err(metadata)?;
        if label.kind != KIND {
            let (path, found, expected) = (path.to_path_buf(), label.kind, "`pruned`");
            return Err(Error::Kind {
                path,
                found,
                expected,
            });
        }
        if label.version != u64::from(VERSION) {
            let (path, found, expected) = (path.to_path_buf(), label.version, VERSION);
            return Err(Error::Version {
                path,
                found,
                expected,
            });
        }
        serde_json::from_str(json).map_err(metadata)
    }
}

/// What every version of every kind of file says.
#[derive(Debug, Deserialize)]
pub(crate) struct Label {
    pub(crate) version: u64,
    pub(crate) kind: String,
}
