//! Methods on weights, one folder each: a weight's states besides theta, its part in a step, and
//! what it prunes.
//!
//! Only a method's own folder names its states. A weight is theta with states, which belong to
//! entries, rows, columns, the weight or the net ([`Scope`](crate::weight::Scope)). After backward,
//! a method has two phases:
//!
//! 1. [`CpuMethod::gather`] sums over blocks of entries in a fixed order, and [`CpuMethod::share`]
//!    updates the states that entries share.
//! 2. [`CpuMethod::update`] updates theta and the per-entry states in one pass over each block, and
//!    computes mean and variance for the next step.
//!
//! A method without shared states skips the first phase. In the Candle engine, a method is a graph
//! of tensors ([`CandleMethod`]), and autograd computes the gradients that the kernels implement by
//! hand.
//!
//! | kind | of each weight | what is pruned |
//! |---|---|---|
//! | `dense` | theta | nothing; with `fixed_zeros`, zeros stay pruned |
//! | `vbd`, `vd` | a posterior (`variational`), one alpha shared (`shared_alpha`), or of `vd` one up to 1 (`bounded_alpha`) | weights above the threshold; nothing with the latter two |
//! | `fast` | a fixed alpha | nothing |

mod bounded_alpha;
mod dense;
mod entries;
mod fast;
mod kind;
mod posterior;
mod shared_alpha;
mod variational;
mod vbd;
mod vd;

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};

pub(crate) use dense::Dense;
pub use entries::{DataGradient, EntryView, EntryViewMut, NOWHERE, Update};
pub(crate) use kind::Definition;
pub use kind::MethodKind;
#[cfg(feature = "bench-internals")]
pub(crate) use variational::kernel;
pub use variational::{Variational, vbd};
pub(crate) use vd::KL;

use crate::layers::Masking;
use crate::weight::State;

/// A method on a weight, with its settings.
pub trait WeightMethod: CpuMethod + CandleMethod + Debug + Send + Sync {
    /// Returns the initial states of a weight of this shape, besides theta.
    fn states(&self, shape: &[usize]) -> Vec<State>;

    /// Returns the initial states shared by all weights of the method, each with
    /// [`Scope::Net`](crate::weight::Scope).
    fn net_states(&self) -> Vec<State> {
        Vec::new()
    }

    /// Returns which entries are kept in evaluation, reports and the pruned file.
    fn kept(&self, entries: EntryView<'_>) -> Vec<bool> {
        entries.theta.iter().map(|&theta| theta != 0.0).collect()
    }

    /// Returns whether entries that are not kept at the end of an epoch die and leave the
    /// computation.
    fn kills(&self) -> bool {
        false
    }

    /// Returns whether a weight is only theta without further computation, so that rows of dead
    /// units can be removed.
    fn is_plain(&self) -> bool {
        false
    }

    /// Returns the threshold of `log_alpha` used by [`WeightMethod::kept`], if any.
    fn log_alpha_threshold(&self) -> Option<f32> {
        None
    }

    /// Returns the method with another threshold; `None` if it has none.
    fn with_threshold(&self, _log_alpha_threshold: f32) -> Option<Arc<dyn WeightMethod>> {
        None
    }

    /// Returns the `log_alpha` of each entry; `None` if the method has none.
    fn log_alpha(&self, _entries: EntryView<'_>) -> Option<Vec<f64>> {
        None
    }
}

/// A method's part in the CPU engine.
pub trait CpuMethod {
    /// Returns whether entries have a variance, so that outputs are sampled.
    fn is_sampled(&self) -> bool;

    /// Computes the means and variances used in a step.
    ///
    /// # Shapes
    /// - `mean`: one per entry; `variance`: one per entry, or empty if nothing is sampled
    fn moments(&self, entries: EntryView<'_>, active: bool, mean: &mut [f32], variance: &mut [f32]);

    /// Returns the penalty of entries, summed.
    fn penalty(&self, _entries: EntryView<'_>) -> f64 {
        0.0
    }

    /// Returns the penalty of shared states, counted once.
    fn shared_penalty(&self, _shared: &[State]) -> f64 {
        0.0
    }

    /// Returns the number of sums in the first phase for a weight of this shape; 0 without a first
    /// phase.
    fn sums(&self, _shape: &[usize]) -> usize {
        0
    }

    /// Adds a block's contribution to the sums. `variance` is that used in the step.
    fn gather(
        &self,
        _entries: EntryView<'_>,
        _data: DataGradient<'_>,
        _variance: &[f32],
        _sums: &mut [f64],
    ) {
    }

    /// Updates the shared states by the sums over all blocks. Returns additional input for the
    /// second phase. For a method with states of the net, the sums are over all its weights and
    /// `shared` has only these states; other methods are called once per weight.
    fn share(&self, _sums: &[f64], _shared: &mut [State], _update: &Update) -> Vec<f32> {
        Vec::new()
    }

    /// Updates theta and per-entry states by their gradients, and computes means and variances
    /// anew.
    ///
    /// # Shapes
    /// - `data`: one per entry
    /// - `of_step`: the result of [`CpuMethod::share`]
    fn update(
        &self,
        entries: EntryViewMut<'_>,
        data: DataGradient<'_>,
        of_step: &[f32],
        update: &Update,
    );
}

/// Mean and variance of each entry, as tensors.
#[derive(Debug, Clone)]
pub struct TensorMoments {
    /// Means, `[out, ...]`.
    pub mean: Tensor,
    /// Variances, `[out, ...]`; `None` if nothing is sampled.
    pub variance: Option<Tensor>,
    /// 1 for rows with a live entry, `[out]`, u8; `None` if entries do not die.
    pub alive_rows: Option<Tensor>,
}

/// A method's part in the Candle engine. Per-entry states come first, each group in the method's
/// order.
pub trait CandleMethod {
    /// Computes the means and variances used in a step; differentiable.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_moments(
        &self,
        theta: &Tensor,
        states: &[Tensor],
        masking: Masking,
    ) -> CandleResult<TensorMoments>;

    /// Returns theta where it is kept, else 0, for evaluation.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_kept(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Tensor>;

    /// Returns the summed penalty; differentiable. `None` if the method has none.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_penalty(&self, _theta: &Tensor, _states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        Ok(None)
    }

    /// Returns the penalty of states of the net, counted once.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_shared_penalty(&self, _states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        Ok(None)
    }

    /// Post-processes a state, given by its number, after the optimiser's step, such as by
    /// clamping.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_finish(&self, _state: usize, _old: &Tensor, new: Tensor) -> CandleResult<Tensor> {
        Ok(new)
    }

    /// Post-processes theta after the optimiser's step.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_theta(&self, _old: &Tensor, new: Tensor) -> CandleResult<Tensor> {
        Ok(new)
    }

    /// Sets the states that are not optimised, in place, by number. `theta` is given before and
    /// after the optimiser's step.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_set(
        &self,
        _theta: [&Tensor; 2],
        _states: &mut [Tensor],
        _update: &Update,
    ) -> CandleResult<()> {
        Ok(())
    }
}
