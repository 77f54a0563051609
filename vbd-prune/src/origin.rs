//! Provenance of pruned weights.

use serde::Serialize;
use serde_json::Value;
use vbd_core::recipe;
use vbd_core::train::Checkpoint;
use vbd_net::format::{Method, Provenance};

/// Converts a recipe's method to a file's metadata.
pub(crate) fn method_of(method: &recipe::Method) -> Method {
    let kind = json(&method.kind);
    Method {
        kind: kind.as_str().unwrap_or_default().to_owned(),
        log_alpha_threshold: method.settings().f32("log_alpha_threshold"),
        layers: Vec::new(),
        rules: method.rules.iter().map(json).collect(),
        gates: method.gates.iter().map(json).collect(),
    }
}

/// Converts a value to JSON via its text, which keeps the digits of 32-bit numbers short.
fn json<T: Serialize>(value: &T) -> Value {
    let text = serde_json::to_string(value).ok();
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Returns a checkpoint's provenance. `as_trained` is set if it is pruned at the training
/// thresholds.
pub(crate) fn provenance_of(checkpoint: &Checkpoint, as_trained: bool) -> Provenance {
    let (recipe, progress) = (&checkpoint.recipe, &checkpoint.progress);
    let measured = progress.step_in_epoch == 0 && as_trained;
    Provenance {
        recipe: Some(recipe.summary.clone()),
        data: Some(checkpoint.data.name.clone()),
        data_crc32: Some(checkpoint.data.crc32),
        seed: Some(recipe.train.seed),
        epochs: Some(progress.epoch),
        n_train: Some(checkpoint.data.n_train),
        kl_weight: Some(recipe.method.kl_weight),
        test_error: progress.test_error.filter(|_| measured),
        test_loss: progress.test_loss.filter(|_| measured),
        start: checkpoint.start.clone(),
        ..Provenance::default()
    }
}
