//! Methods on weights, a folder each: what is kept of a weight beside theta, how it takes part in a step, and
//! what goes.
//!
//! Nothing outside a method's folder has the names of its states. A weight is theta with states, each of
//! entries, rows, columns, the weight or the net ([`Scope`](crate::weight::Scope)). After backward a method works in two phases:
//!
//! 1. [`CpuMethod::gather`] adds up sums over a block of entries; blocks are added in a fixed order. From the
//!    sums [`CpuMethod::share`] moves the states that entries share.
//! 2. [`CpuMethod::update`] moves theta and the states of the entries in one pass over the block, and works out
//!    the mean and variance of the next step.
//!
//! A method without shared states skips the first. For the Candle engine a method is a graph of tensors
//! ([`CandleMethod`]): autograd finds the gradients that the kernels write out.
//!
//! | kind | of each weight | what goes |
//! |---|---|---|
//! | `dense` | theta | nothing |
//! | `vbd`, `vd` | a posterior (`variational`), or one alpha shared (`shared_alpha`) | what is over the threshold; nothing by a shared alpha |
//! | `fast` | an alpha that is fixed | nothing |

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

use crate::layers::Masking;
use crate::weight::State;

/// A method on a weight, with its settings.
pub trait WeightMethod: CpuMethod + CandleMethod + Debug + Send + Sync {
    /// Fresh states of a weight of this shape, beside theta.
    fn states(&self, shape: &[usize]) -> Vec<State>;

    /// Fresh states that all weights of the method share, each [`Scope::Net`](crate::weight::Scope).
    fn net_states(&self) -> Vec<State> {
        Vec::new()
    }

    /// Which entries are kept: in evaluation, reports and the pruned file.
    fn kept(&self, entries: EntryView<'_>) -> Vec<bool> {
        entries.theta.iter().map(|&theta| theta != 0.0).collect()
    }

    /// Whether an entry that is not kept at the end of an epoch dies for good, and leaves the computation.
    fn kills(&self) -> bool {
        false
    }

    /// Whether a weight is theta alone and computes nothing else: units may leave it with their rows.
    fn is_plain(&self) -> bool {
        false
    }

    /// The threshold of `log_alpha` that [`WeightMethod::kept`] goes by, if it does.
    fn log_alpha_threshold(&self) -> Option<f32> {
        None
    }

    /// The same method with another threshold; `None` of one that has none.
    fn with_threshold(&self, _log_alpha_threshold: f32) -> Option<Arc<dyn WeightMethod>> {
        None
    }

    /// `log_alpha` of each entry; `None` of a method that has none.
    fn log_alpha(&self, _entries: EntryView<'_>) -> Option<Vec<f64>> {
        None
    }
}

/// A method in the CPU engine.
pub trait CpuMethod {
    /// Whether an entry has a variance, so that outputs are drawn.
    fn is_sampled(&self) -> bool;

    /// The means and variances that a step computes with.
    ///
    /// # Shapes
    /// - `mean`: one for each entry; `variance` likewise, or empty where nothing is sampled
    fn moments(&self, entries: EntryView<'_>, active: bool, mean: &mut [f32], variance: &mut [f32]);

    /// The part of the penalty that is a sum over entries.
    fn penalty(&self, _entries: EntryView<'_>) -> f64 {
        0.0
    }

    /// The part of the penalty that belongs to shared states: counted once.
    fn shared_penalty(&self, _shared: &[State]) -> f64 {
        0.0
    }

    /// Sums that the first phase wants of a weight of this shape; 0 of a method without one.
    fn sums(&self, _shape: &[usize]) -> usize {
        0
    }

    /// Adds a block's part to the sums. `variance` is what the step computed with.
    fn gather(
        &self,
        _entries: EntryView<'_>,
        _data: DataGradient<'_>,
        _variance: &[f32],
        _sums: &mut [f64],
    ) {
    }

    /// Moves the shared states by the sums of all blocks. Returns what the second phase needs of the step beside
    /// the states as they are then. Of a method with states of the net, the sums are those of all its weights and
    /// `shared` are the net's alone; the others get a call a weight.
    fn share(&self, _sums: &[f64], _shared: &mut [State], _update: &Update) -> Vec<f32> {
        Vec::new()
    }

    /// Moves theta and the entries' states by their gradients, and works out means and variances anew.
    ///
    /// # Shapes
    /// - `data`: one for each entry
    /// - `of_step`: what [`CpuMethod::share`] returned
    fn update(
        &self,
        entries: EntryViewMut<'_>,
        data: DataGradient<'_>,
        of_step: &[f32],
        update: &Update,
    );
}

/// The mean and the variance of each entry, as tensors.
#[derive(Debug, Clone)]
pub struct TensorMoments {
    /// `[out, ...]`.
    pub mean: Tensor,
    /// `[out, ...]`; `None` where nothing is sampled.
    pub variance: Option<Tensor>,
    /// 1 for rows with an entry that is not dead for good, `[out]`, u8; `None` where entries do not die.
    pub alive_rows: Option<Tensor>,
}

/// A method in the Candle engine. States come those of entries first, each group in the method's order.
pub trait CandleMethod {
    /// The means and variances that a step computes with; differentiable.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_moments(
        &self,
        theta: &Tensor,
        states: &[Tensor],
        masking: Masking,
    ) -> CandleResult<TensorMoments>;

    /// Theta where it is kept, else 0: what is evaluated.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_kept(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Tensor>;

    /// The penalty, summed; differentiable. `None` of a method without one.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_penalty(&self, _theta: &Tensor, _states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        Ok(None)
    }

    /// The part of the penalty that belongs to states of the whole net: counted once.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_shared_penalty(&self, _states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        Ok(None)
    }

    /// A state after the optimiser's step, by its number: clamped, or as the method sets it.
    ///
    /// # Errors
    /// If the device fails.
    fn tensor_finish(&self, _state: usize, _old: &Tensor, new: Tensor) -> CandleResult<Tensor> {
        Ok(new)
    }

    /// Sets the states that no optimiser moves, in place, by number; `theta` is that before the optimiser's step and
    /// that after it.
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
