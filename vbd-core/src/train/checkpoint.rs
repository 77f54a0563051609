//! Checkpoints: the complete state of a run in one file.
//!
//! A layer `fc1` has the tensors `fc1.weight` (theta), `fc1.bias` and its method's states by name
//! (`fc1.log_sigma2`), each with moments under the suffixes `.m` and `.v`. A gate after it has
//! `gate.fc1.theta` and `gate.fc1.log_sigma2`. States shared by all weights are `net.NAME`. A
//! compact weight stores live entries only, with their flat row-major indices in `fc1.weight.live`.
//! The version comes first. The file is sealed by a CRC-32 of its bytes, which detects damage in
//! any version.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::init::net_states;
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::method::WeightMethod;
use crate::recipe::Recipe;
use crate::weight::{
    GateParameters, LayerParameters, NormParameters, Parameter, Parameters, Scope, State, Weight,
};
use vbd_net::file;
use vbd_net::format::is_of_kind;
use vbd_net::graph::{NormSpec, WeightSpec};
use vbd_net::output::Quality;
use vbd_net::spec::{NetSpec, Normalizer};
use vbd_net::tensor_file::{self, RawTensor, TensorFileError, Tensors};

/// Version of the format.
pub const VERSION: u32 = 3;
/// `kind` in a checkpoint's JSON.
pub const KIND: &str = "checkpoint";

/// State of a run between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Network.
    pub spec: NetSpec,
    /// Recipe.
    pub recipe: Recipe,
    /// Progress of the run.
    pub progress: Progress,
    /// Identity of the data.
    pub data: DataInfo,
    /// Normalisation of pixels.
    pub normalizer: Normalizer,
    /// Parameters with their moments.
    pub parameters: Parameters,
    /// Interval of epochs whose checkpoints are kept; 0 keeps only the newest.
    pub keep_every: usize,
    /// File that the run started from, if any.
    pub start: Option<String>,
}

/// Progress of a run, with the sums of the current epoch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Completed epochs.
    pub epoch: usize,
    /// Completed steps of the current epoch.
    pub step_in_epoch: usize,
    /// Summed negative log-likelihood of the current epoch in nats.
    pub nll_sum: f64,
    /// Seconds spent in steps of the current epoch.
    pub train_seconds: f64,
    /// Total seconds of the current epoch.
    pub seconds: f64,
    /// Total seconds of completed epochs.
    pub seconds_before: f64,
    /// Test error of a classifier after the last completed epoch.
    pub test_error: Option<f64>,
    /// Test loss of another network after the last completed epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
    /// Best epoch so far, if there is a validation split.
    pub best: Option<Best>,
}

/// The epoch with the best validation result among those pruned enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Validation error of a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_error: Option<f64>,
    /// Validation loss of another network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
}

impl Best {
    /// Creates the record of an epoch with its validation result.
    pub(super) fn new(epoch: usize, validation: Quality) -> Self {
        Self {
            epoch,
            validation_error: validation.error(),
            validation_loss: validation.loss(),
        }
    }

    /// Returns the value for comparing epochs; lower is better.
    pub(super) fn value(&self) -> Option<f64> {
        self.validation_error.or(self.validation_loss)
    }
}

/// Identity of the data in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataInfo {
    /// Name of the data set.
    pub name: String,
    /// Number of training samples: the divisor of the KL.
    pub n_train: usize,
    /// CRC-32 of all images and labels, to detect other data on `--resume`.
    pub crc32: u32,
}

#[derive(Serialize, Deserialize)]
struct CheckpointHeader {
    version: u32,
    kind: String,
    spec: NetSpec,
    recipe: Recipe,
    progress: Progress,
    data: DataInfo,
    keep_every: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<String>,
}

impl Checkpoint {
    /// Writes the checkpoint atomically.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`], or [`Error::Checkpoint`] if the parameters do not match the network.
    pub fn write(&self, path: &Path) -> Result<()> {
        let problem = |field: &str, problem: String| checkpoint_error(path, field, problem);
        let mut tensors = Tensors::new();
        let graph = self.spec.resolve()?;
        for (layer, weight) in self.parameters.layers.iter().zip(graph.weights()) {
            insert_layer(&mut tensors, layer, weight.has_bias);
        }
        for norm in &self.parameters.norms {
            insert_norm(&mut tensors, norm);
        }
        for gate in &self.parameters.gates {
            insert_gate(&mut tensors, gate);
        }
        for state in &self.parameters.net {
            let name = format!("net.{}", state.name);
            let shape = [state.parameter.value.len()];
            insert_parameter(&mut tensors, &name, &shape, &state.parameter);
        }
        let statistics = [
            (
                "normalize.mean",
                &self.spec.normalize.mean,
                &self.normalizer.mean,
            ),
            (
                "normalize.std",
                &self.spec.normalize.std,
                &self.normalizer.std,
            ),
        ];
        for (name, rule, values) in statistics {
            if rule.is_image() {
                tensors.insert(name.to_owned(), RawTensor::f32(&self.spec.input, values));
            }
        }
        let header = CheckpointHeader {
            version: VERSION,
            kind: KIND.to_owned(),
            spec: self.spec.clone(),
            recipe: self.recipe.clone(),
            progress: self.progress.clone(),
            data: self.data.clone(),
            keep_every: self.keep_every,
            start: self.start.clone(),
        };
        let json = serde_json::to_string(&header).map_err(|e| problem("vbd", e.to_string()))?;
        let bytes = tensor_file::to_sealed_bytes(tensors, json)
            .map_err(|e| problem("tensors", e.to_string()))?;
        Ok(file::write_atomic(path, &bytes)?)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`vbd_net::Error::Io`] if the file cannot be read; [`Error::CheckpointVersion`] if it has
    /// another version; [`Error::DamagedCheckpoint`] if its checksum does not match;
    /// [`Error::Checkpoint`], or an error of recipe or network, if it is not a valid checkpoint.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&file::read(path)?, path)
    }

    /// Decodes a checkpoint. `path` is used in errors.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`], except [`vbd_net::Error::Io`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let problem = |field: &str, problem: String| checkpoint_error(path, field, problem);
        let damaged = |error: TensorFileError| Error::DamagedCheckpoint {
            path: path.to_path_buf(),
            problem: error.to_string(),
        };
        let (mut tensors, json) = tensor_file::from_bytes(bytes).map_err(|error| match error {
            TensorFileError::NoMetadata => problem("metadata", error.to_string()),
            _ => damaged(error),
        })?;
        check_label(&json, path)?;
        tensor_file::check_seal(bytes).map_err(damaged)?;
        let header: CheckpointHeader =
            serde_json::from_str(&json).map_err(|error| problem("vbd", error.to_string()))?;
        header.recipe.check(&path.display().to_string())?;
        let settings = header.recipe.method.of_weights(&header.spec)?;
        let graph = header.spec.resolve()?;
        let weights = graph.weights().iter().zip(&settings);
        let layers = weights.map(|(weight, setting)| {
            take_layer(&mut tensors, weight, &*setting.method)
                .map_err(|(field, text)| problem(&field, text))
        });
        let layers = layers.collect::<Result<_>>()?;
        let norms = graph.norms().iter().map(|norm| {
            take_norm(&mut tensors, norm).map_err(|(field, text)| problem(&field, text))
        });
        let norms = norms.collect::<Result<_>>()?;
        let net = net_states(&settings).into_iter().map(|state| {
            let name = format!("net.{}", state.name);
            let shape = [state.parameter.value.len()];
            let parameter = take_parameter(&mut tensors, &name, &shape)
                .map_err(|(field, text)| problem(&field, text))?;
            Ok(state.with(parameter))
        });
        let net = net.collect::<Result<_>>()?;
        let gates = Gate::all(&header.spec, &header.recipe.method)?;
        let gates = gates.iter().map(|gate| {
            take_gate(&mut tensors, gate).map_err(|(field, text)| problem(&field, text))
        });
        let parameters = Parameters {
            layers,
            norms,
            gates: gates.collect::<Result<_>>()?,
            net,
        };
        let mut image = |name: &str| tensors.remove(name).and_then(|raw| raw.to_f32());
        let (mean, std) = (image("normalize.mean"), image("normalize.std"));
        let normalizer = Normalizer::with_images(&header.spec, mean, std).ok_or_else(|| {
            problem(
                "normalize",
                "mean or std image is missing or has the wrong size".to_owned(),
            )
        })?;
        Ok(Self {
            spec: header.spec,
            recipe: header.recipe,
            progress: header.progress,
            data: header.data,
            keep_every: header.keep_every,
            start: header.start,
            normalizer,
            parameters,
        })
    }
}

fn checkpoint_error(path: &Path, field: &str, problem: String) -> Error {
    Error::Checkpoint {
        path: path.to_path_buf(),
        field: field.to_owned(),
        problem,
    }
}

/// Checks kind and version before anything that another version may write differently.
fn check_label(json: &str, path: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Label {
        version: u64,
        kind: String,
    }
    let found: Label = serde_json::from_str(json).map_err(|error| Error::DamagedCheckpoint {
        path: path.to_path_buf(),
        problem: error.to_string(),
    })?;
    if found.kind != KIND {
        let problem = format!("is `{}`: expected `{KIND}`", found.kind);
        return Err(checkpoint_error(path, "kind", problem));
    }
    if found.version != u64::from(VERSION) {
        return Err(Error::CheckpointVersion {
            path: path.to_path_buf(),
            found: found.version,
            expected: VERSION,
        });
    }
    Ok(())
}

/// Returns whether a file's label says that it is a checkpoint, of any version, intact or damaged.
pub fn is_checkpoint(path: &Path) -> bool {
    is_of_kind(path, KIND)
}

const RUNNING_MEAN: &str = "running_mean";
const RUNNING_VAR: &str = "running_var";
const MOMENTS: [&str; 3] = ["", ".m", ".v"];

fn insert_layer(tensors: &mut Tensors, layer: &LayerParameters, has_bias: bool) {
    let weight = layer.weight.to_smallest();
    let name = format!("{}.weight", layer.name);
    let stored = weight.live().map(|live| vec![live.len()]);
    let shape = stored.as_deref().unwrap_or(weight.shape());
    if let Some(live) = weight.live() {
        tensors.insert(format!("{name}.live"), RawTensor::u32(live));
    }
    insert_parameter(tensors, &name, shape, weight.theta());
    for state in weight.states() {
        let name = format!("{}.{}", layer.name, state.name);
        let len = [state.parameter.value.len()];
        let shape = if state.scope == Scope::Entry {
            shape
        } else {
            &len
        };
        insert_parameter(tensors, &name, shape, &state.parameter);
    }
    if has_bias {
        let name = format!("{}.bias", layer.name);
        insert_parameter(tensors, &name, &weight.shape()[..1], &layer.bias);
    }
}

fn insert_norm(tensors: &mut Tensors, norm: &NormParameters) {
    let shape = [norm.weight.value.len()];
    for (what, parameter) in [("weight", &norm.weight), ("bias", &norm.bias)] {
        insert_parameter(tensors, &format!("{}.{what}", norm.name), &shape, parameter);
    }
    for (what, values) in [
        (RUNNING_MEAN, &norm.running_mean),
        (RUNNING_VAR, &norm.running_var),
    ] {
        tensors.insert(
            format!("{}.{what}", norm.name),
            RawTensor::f32(&shape, values),
        );
    }
}

fn insert_gate(tensors: &mut Tensors, gate: &GateParameters) {
    let states = gate.units.states();
    let states = states.map(|state| (state.name, &state.parameter));
    for (name, parameter) in std::iter::once(("theta", gate.theta())).chain(states) {
        let name = format!("gate.{}.{name}", gate.after);
        insert_parameter(tensors, &name, &[parameter.value.len()], parameter);
    }
}

fn insert_parameter(tensors: &mut Tensors, name: &str, shape: &[usize], parameter: &Parameter) {
    for (suffix, values) in MOMENTS.iter().zip(parameter.arrays()) {
        tensors.insert(format!("{name}{suffix}"), RawTensor::f32(shape, values));
    }
}

type FieldResult<T> = Result<T, (String, String)>;

fn take_layer(
    tensors: &mut Tensors,
    weight: &WeightSpec,
    method: &dyn WeightMethod,
) -> FieldResult<LayerParameters> {
    let (name, shape, has_bias) = (&weight.layer, &weight.shape[..], weight.has_bias);
    let weight_name = format!("{name}.weight");
    let live = match tensors.remove(&format!("{weight_name}.live")) {
        Some(raw) => {
            let places = raw.to_u32();
            Some(places.ok_or_else(|| {
                (
                    format!("{weight_name}.live"),
                    "has the wrong type: expected U32".to_owned(),
                )
            })?)
        }
        None => None,
    };
    let stored = live
        .as_ref()
        .map_or_else(|| shape.to_vec(), |live| vec![live.len()]);
    let theta = take_parameter(tensors, &weight_name, &stored)?;
    let states = method.states(shape).into_iter().map(|state| {
        let of = match state.scope {
            Scope::Entry => stored.clone(),
            scope => vec![scope.len(shape)],
        };
        let own = take_parameter(tensors, &format!("{name}.{}", state.name), &of)?;
        Ok(state.with(own))
    });
    let states = states.collect::<FieldResult<Vec<State>>>()?;
    let bias = if has_bias {
        take_parameter(tensors, &format!("{name}.bias"), &shape[..1])?
    } else {
        Parameter::new(vec![0.0; shape[0]])
    };
    let weight = match live {
        Some(live) => Weight::compact(shape, live, theta, states),
        None => Weight::dense(shape, theta, states),
    };
    let weight = weight.map_err(|error| (weight_name, error.to_string()))?;
    Ok(LayerParameters {
        name: name.clone(),
        weight,
        bias,
    })
}

fn take_norm(tensors: &mut Tensors, norm: &NormSpec) -> FieldResult<NormParameters> {
    let shape = [norm.units];
    let name = |what: &str| format!("{}.{what}", norm.layer);
    Ok(NormParameters {
        name: norm.layer.clone(),
        weight: take_parameter(tensors, &name("weight"), &shape)?,
        bias: take_parameter(tensors, &name("bias"), &shape)?,
        running_mean: take_values(tensors, &name(RUNNING_MEAN), &shape)?,
        running_var: take_values(tensors, &name(RUNNING_VAR), &shape)?,
    })
}

fn take_gate(tensors: &mut Tensors, gate: &Gate) -> FieldResult<GateParameters> {
    let shape = [gate.units];
    let mut take = |name: &str| {
        let name = format!("gate.{}.{name}", gate.after);
        take_parameter(tensors, &name, &shape)
    };
    let theta = take("theta")?;
    let fresh = gate.method.as_ref();
    let fresh = fresh.map_or_else(Vec::new, |method| method.states(&shape));
    let states = fresh
        .into_iter()
        .map(|state| Ok(state.with(take(state.name)?)));
    let states = states.collect::<FieldResult<Vec<State>>>()?;
    let units = Weight::dense(&shape, theta, states);
    Ok(GateParameters {
        after: gate.after.clone(),
        units: units.map_err(|error| (format!("gate.{}", gate.after), error.to_string()))?,
    })
}

fn take_parameter(tensors: &mut Tensors, name: &str, shape: &[usize]) -> FieldResult<Parameter> {
    let mut take = |suffix: &str| take_values(tensors, &format!("{name}{suffix}"), shape);
    Ok(Parameter {
        value: take(MOMENTS[0])?,
        m: take(MOMENTS[1])?,
        v: take(MOMENTS[2])?,
    })
}

fn take_values(tensors: &mut Tensors, name: &str, shape: &[usize]) -> FieldResult<Vec<f32>> {
    let problem = |text: String| (name.to_owned(), text);
    let raw = tensors
        .remove(name)
        .ok_or_else(|| problem("missing tensor".to_owned()))?;
    if raw.shape != shape {
        return Err(problem(format!(
            "has shape {:?}: expected {shape:?}",
            raw.shape
        )));
    }
    raw.to_f32()
        .ok_or_else(|| problem(format!("has type {:?}: expected F32", raw.dtype)))
}
