//! What a pruned file says of the training that its weights come from.

use serde::Serialize;
use serde_json::Value;
use vbd_core::recipe;
use vbd_core::train::Checkpoint;
use vbd_net::format::{Method, Provenance};

/// The method of a recipe, its tables as the recipe has them.
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

/// A value as JSON; by its text, for numbers of 32 bits keep their few digits there.
fn json<T: Serialize>(value: &T) -> Value {
    let text = serde_json::to_string(value).ok();
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// What a checkpoint knows of itself; `as_trained` if it is pruned at the training's thresholds.
pub(crate) fn provenance_of(checkpoint: &Checkpoint, as_trained: bool) -> Provenance {
    let (recipe, progress) = (&checkpoint.recipe, &checkpoint.progress);
    let measured = progress.step_in_epoch == 0 && as_trained;
    Provenance {
        recipe: Some(recipe.summary.clone()),
        data: Some(checkpoint.data.name.clone()),
        seed: Some(recipe.train.seed),
        epochs: Some(progress.epoch),
        n_train: Some(checkpoint.data.n_train),
        kl_weight: Some(recipe.method.kl_weight),
        test_error: progress.test_error.filter(|_| measured),
        test_loss: progress.test_loss.filter(|_| measured),
    }
}
