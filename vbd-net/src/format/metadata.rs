//! The JSON metadata of a pruned file: network, method and provenance.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
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

/// Newest version that this crate reads and writes. Version 2 adds wiring, `add` and `scale`;
/// version 3 adds losses other than cross-entropy; version 4 adds `avg_pool2d` and `softplus`, windows
/// with other sides, strides or padding, groups, and weights without a bias. Files use the lowest
/// version possible.
pub const VERSION: u32 = 4;
/// First version with wiring.
const WIRED: u32 = 2;
/// First version with a `loss`.
const WITH_LOSS: u32 = 3;
/// Oldest supported version.
const OLDEST: u32 = 1;
/// `kind` of a pruned file.
pub const KIND: &str = "pruned";

/// The JSON under the metadata key `vbd`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetHeader {
    pub(crate) version: u32,
    pub(crate) kind: String,
    pub(crate) spec: NetSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Method>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<f32>,
    /// Original network of a shrunk one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<NetSpec>,
    pub(crate) values: ValueType,
    #[serde(default)]
    pub(crate) provenance: Provenance,
}

/// Method that trained the weights. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Kind in the recipe, such as `vbd`.
    pub kind: String,
    /// Threshold of the training.
    pub log_alpha_threshold: f32,
    /// Overrides per layer, in recipes of older versions.
    #[serde(default, rename = "layer", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Value>,
    /// Overrides for some weights, as in the recipe.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Value>,
    /// Gates, as in the recipe. They are folded into the weights.
    #[serde(default, rename = "gate", skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Value>,
}

/// Provenance of a net, as far as known. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Summary of the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// Name of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// CRC-32 of all inputs and labels of the data set, see
    /// [`Dataset::crc32`](crate::data::Dataset::crc32).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_crc32: Option<u32>,
    /// Random seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Completed epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Number of training samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_train: Option<usize>,
    /// Weight of the KL. Values other than 1 give a tempered posterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_weight: Option<f64>,
    /// Test error of these weights in f32, measured during training. Absent if not measured: within
    /// an epoch, or at another threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error: Option<f64>,
    /// Test loss of a net without classes: mean squared error of its outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// File that the training started from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Batch normalisations that are folded, by name, and the layer that each is part of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub folded: BTreeMap<String, String>,
    /// Color of an image without content, one byte per channel: the border of the mean training
    /// image. Written where the mean image itself is folded into a bias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blank: Option<Vec<u8>>,
}

impl Label {
    /// Reads the label from a file's bytes. `path` is used in errors.
    ///
    /// # Errors
    /// [`Error::TensorFile`] if the bytes are not a complete file of this project;
    /// [`Error::Metadata`] if there is no label.
    pub fn read(bytes: &[u8], path: &Path) -> Result<Self> {
        let (_, json) = tensor_file::from_bytes(bytes).map_err(Error::tensor_file(path))?;
        serde_json::from_str(&json).map_err(Error::metadata(path))
    }
}

/// Returns whether a file begins as those of this project do, of any kind and version, intact or
/// damaged.
pub fn is_written_by_vbd(path: &Path) -> bool {
    starts_with_label(path, "")
}

/// Returns whether a file begins as those of this project do and has this kind.
pub fn is_of_kind(path: &Path, kind: &str) -> bool {
    starts_with_label(path, &format!("\\\"kind\\\":\\\"{kind}\\\""))
}

/// Returns whether the header has our metadata, which contain `words`, as JSON within JSON.
fn starts_with_label(path: &Path, words: &str) -> bool {
    // The header has the names of all tensors.
    const MOST_HEADER: u64 = 1 << 24;
    if !path.is_file() {
        return false;
    }
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut header = Vec::new();
    let read = file.take(MOST_HEADER).read_to_end(&mut header);
    let label = format!("\"{}\":\"{{\\\"version\\\":", tensor_file::METADATA_KEY);
    let has = |words: &str| {
        let words = words.as_bytes();
        words.is_empty() || header.windows(words.len()).any(|bytes| bytes == words)
    };
    read.is_ok() && has(&label) && has(words)
}

/// Returns the lowest version that can represent a net.
pub(crate) fn version_of(net: &PrunedNet) -> u32 {
    let least = match net.spec().loss {
        Loss::CrossEntropy => OLDEST,
        Loss::Mse => WITH_LOSS,
    };
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
    layers.map(needs).fold(least, u32::max)
}

impl NetHeader {
    /// Serialises the JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("metadata have text keys and numbers alone")
    }

    /// Parses the JSON. Checks kind and version first, so that a newer file gives
    /// [`Error::Version`].
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
        let header: Self = serde_json::from_str(json).map_err(Error::metadata(path))?;
        header.check_ranges().map_err(|out| Error::MetadataRange {
            path: path.to_path_buf(),
            field: out.field,
            found: out.found,
            expected: out.expected,
        })?;
        Ok(header)
    }

    /// Checks that all numbers are in the range of what they measure. JSON has finite numbers only.
    fn check_ranges(&self) -> Result<(), OutOfRange> {
        let within = |field, value: Option<f64>, largest: f64, expected| {
            let out = value.filter(|value| !(0.0..=largest).contains(value));
            OutOfRange::of(field, out, expected)
        };
        let provenance = &self.provenance;
        within(
            "provenance.test_error",
            provenance.test_error,
            1.0,
            "0 to 1",
        )?;
        let (most, positive) = (f64::from(f32::MAX), "a finite number of at least 0");
        within("provenance.test_loss", provenance.test_loss, most, positive)?;
        within("provenance.kl_weight", provenance.kl_weight, most, positive)
    }
}

/// A number of the metadata that is out of range.
struct OutOfRange {
    field: &'static str,
    found: f64,
    expected: &'static str,
}

impl OutOfRange {
    /// Returns an error if a number is `out` of range.
    fn of(field: &'static str, out: Option<f64>, expected: &'static str) -> Result<(), Self> {
        out.map_or(Ok(()), |found| {
            Err(Self {
                field,
                found,
                expected,
            })
        })
    }
}

/// The fields common to all versions and kinds of files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// Version of the format.
    pub version: u64,
    /// Kind of file.
    pub kind: String,
}
