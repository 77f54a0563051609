//! Training steps, by two engines with one interface.
//!
//! [`CpuStep`] uses hand-written kernels without autograd. [`CandleStep`] uses the Candle modules
//! of [`crate::layers`] and Candle's autograd on any device, and is the reference in tests. Both
//! draw the same noise for the same [`At`].
//!
//! Masking: while `kl_scale` is 0, all weights take part. While it is positive, a weight above the
//! threshold has zero mean, variance and data gradients in that step; the KL still updates it, and
//! it may return. The same holds for units of gates. At the end of an epoch whose last step had
//! `kl_scale` 1, everything above the threshold dies ([`Parameters::kill`]).

mod candle;
mod cpu;
mod objective;

/// Values per piece of work in passes over flat arrays.
pub(crate) const CHUNK: usize = 16 * 1024;

pub use candle::CandleStep;
pub(crate) use candle::{StepDescent, Variable};
pub use cpu::{CpuConfig, CpuStep};
pub use objective::Objective;
pub use vbd_net::output::Evaluation;

pub use crate::data::Batch;

use crate::error::Result;
use crate::noise::{NoiseKey, Stream};
use crate::weight::Parameters;
use vbd_net::data::Samples;
use vbd_net::graph::NodeId;

/// Position of a step in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run, from 0.
    pub step: u32,
    /// Learning rate.
    pub lr: f64,
    /// Factor on the KL, 0 to 1.
    pub kl_scale: f64,
}

impl At {
    /// Returns the key of the step's draws for a purpose.
    pub(crate) fn key(&self, stream: Stream) -> NoiseKey {
        NoiseKey {
            seed: self.seed,
            step: self.step,
            stream,
        }
    }
}

/// An engine that trains one network.
pub trait Step: Send {
    /// Runs one step of gradient descent. Returns the batch's summed negative log-likelihood in
    /// nats.
    ///
    /// # Errors
    /// If the device fails, the batch is too large for the engine, or its inputs or targets do not
    /// match the network and its loss.
    fn step(&mut self, batch: &Batch, at: &At) -> Result<f64>;

    /// Computes the outputs of a batch with a training step's noise, `[batch, outputs]`. Changes no
    /// parameter.
    ///
    /// # Errors
    /// Those of [`Step::step`].
    fn outputs(&mut self, batch: &Batch, at: &At) -> Result<Vec<f32>>;

    /// Recomputes the outputs of the last batch of [`Step::outputs`] with other values after a node
    /// (and its activation, pooling and gate), with the same noise. Only layers after the node are
    /// computed, so a second pass after a changed mask costs no more than these.
    ///
    /// # Shapes
    /// - `values`: `[batch, values of the node]`
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the number of values does not match or there was no batch;
    /// [`crate::Error::RunFromInput`] for the input; or if the device fails.
    fn outputs_from(&mut self, node: NodeId, values: &[f32], at: &At) -> Result<Vec<f32>>;

    /// Returns the total KL over live weights and units, in nats, each term scaled by its layer's
    /// or gate's `kl_weight`.
    ///
    /// # Errors
    /// If the device fails.
    fn kl(&self) -> Result<f64>;

    /// Evaluates the pruned network without noise.
    ///
    /// # Errors
    /// If the device fails, or inputs or targets do not match the network and its loss.
    fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation>;

    /// Returns the parameters with their moments, in host memory.
    ///
    /// # Errors
    /// If the device fails.
    fn parameters(&self) -> Result<Parameters>;

    /// Loads parameters.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if they do not match the network.
    fn load(&mut self, parameters: &Parameters) -> Result<()>;
}
