//! Ensures that a variable belongs to one layer: two layers with the same prefix would draw the same
//! noise.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use candle_core::{Result, Tensor, TensorId};

static CLAIMED: LazyLock<Mutex<HashMap<TensorId, Weak<()>>>> = LazyLock::new(Mutex::default);

/// Reserves a variable for a layer and its clones until the last of them is dropped.
pub(super) type Claim = Arc<()>;

/// Reserves a variable for a layer; `prefix` names the layer in errors.
///
/// # Errors
/// If the variable already belongs to a layer.
pub(super) fn claim(variable: &Tensor, prefix: &str) -> Result<Claim> {
    let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    claimed.retain(|_, held| held.strong_count() > 0);
    if claimed.contains_key(&variable.id()) {
        candle_core::bail!(
            "a layer with prefix `{prefix}` already exists and would draw the same noise: clone it or use \
             another prefix"
        );
    }
    let claim = Claim::default();
    claimed.insert(variable.id(), Arc::downgrade(&claim));
    Ok(claim)
}
