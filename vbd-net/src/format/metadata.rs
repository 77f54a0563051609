//! The JSON of a pruned file: what it is, the network, and where it comes from.

use std::path::Path;

use crate::spec::NetSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ValueType;
use crate::error::{Error, Result};
use crate::net::PrunedNet;
use crate::ops::Units;
use crate::spec::{LayerSpec, Loss};
use crate::tensor_file;

/// The newest version of the format that this code reads and writes. Version 2 has wiring, `add` and `scale`, version
/// 3 losses other than cross-entropy; what an older version can say is written as that.
pub const VERSION: u32 = 3;
/// The first version with wiring.
const WIRED: u32 = 2;
/// The first version that knows of losses.
const WITH_LOSS: u32 = 3;
/// The oldest version that is read.
const OLDEST: u32 = 1;
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
    /// The recipe's word for it, `vbd` for one.
    pub kind: String,
    /// The training's threshold, at which weights died for good.
    pub log_alpha_threshold: f32,
    /// What differed for some layers' weights, as recipes once had it.
    #[serde(default, rename = "layer", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Value>,
    /// What differed for some weights, as the recipe had it.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Value>,
    /// The gates, folded into the weights, as the recipe had them.
    #[serde(default, rename = "gate", skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Value>,
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
    /// The same of a net without classes: mean squared error of its outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
}

impl Label {
    /// The label of a file's bytes; `path` names it in errors.
    ///
    /// # Errors
    /// [`Error::TensorFile`] if they are no whole file of this program; [`Error::Metadata`] if they have no
    /// label.
    pub fn read(bytes: &[u8], path: &Path) -> Result<Self> {
        let (_, json) = tensor_file::from_bytes(bytes).map_err(Error::tensor_file(path))?;
        serde_json::from_str(&json).map_err(Error::metadata(path))
    }
}

/// The version that a net is written as: 1, if it is a chain of the kinds of layer that 1 has, to classes.
pub(crate) fn version_of(net: &PrunedNet) -> u32 {
    if net.spec().loss != Loss::CrossEntropy {
        return WITH_LOSS;
    }
    let needs = |layer: &LayerSpec| {
        let kind = layer.kind();
        let is_chained = kind.reads() == [None];
        // Layers without tensors had no names.
        let has_prefix = kind.units() == Units::Mixes || kind.units() == Units::Picks;
        let is_known = is_chained && (has_prefix || kind.name().is_none());
        kind.since().max(if is_known { OLDEST } else { WIRED })
    };
    let specs = [Some(net.spec()), net.before.as_ref()];
    let layers = specs.into_iter().flatten().flat_map(|spec| &spec.layers);
    layers.map(needs).max().unwrap_or(OLDEST)
}

impl Header {
    /// The JSON; every value of it has a JSON form.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("metadata have text keys and numbers alone")
    }

    /// Reads the JSON; kind and version are looked at first, so that a newer file is told as such.
    pub(crate) fn from_json(json: &str, path: &Path) -> Result<Self> {
        let label: Label = serde_json::from_str(json).map_err(Error::metadata(path))?;
        if label.kind != KIND {
            let (path, found, expected) = (path.to_path_buf(), label.kind, "`pruned`");
            return Err(Error::Kind {
                path,
                found,
                expected,
            });
        }
        if !(u64::from(OLDEST)..=u64::from(VERSION)).contains(&label.version) {
            let (path, found, expected) = (path.to_path_buf(), label.version, VERSION);
            return Err(Error::Version {
                path,
                found,
                expected,
            });
        }
        serde_json::from_str(json).map_err(Error::metadata(path))
    }
}

/// What every version of every kind of file says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// Version of the format.
    pub version: u64,
    /// What the file holds.
    pub kind: String,
}
