//! Which variables have a layer already: two layers over one set of them would share every draw.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use candle_core::{Result, Tensor, TensorId};

static CLAIMED: LazyLock<Mutex<HashMap<TensorId, Weak<()>>>> = LazyLock::new(Mutex::default);

/// Holds a variable for one layer, and for its clones, until the last of them is gone.
pub(super) type Claim = Arc<()>;

/// Claims a layer's variable; `prefix` names the layer in the error.
///
/// # Errors
/// If a layer has the variable already.
pub(super) fn claim(variable: &Tensor, prefix: &str) -> Result<Claim> {
    let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    claimed.retain(|_, held| held.strong_count() > 0);
    if claimed.contains_key(&variable.id()) {
        candle_core::bail!(
            "a layer of prefix `{prefix}` exists already: two would draw the same noise; clone it, or give the second \
             a prefix of its own"
        );
    }
    let claim = Claim::default();
    claimed.insert(variable.id(), Arc::downgrade(&claim));
    Ok(claim)
}
