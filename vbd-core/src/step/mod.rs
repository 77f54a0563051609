//! One training step, by two engines of one contract.
//!
//! [`CpuStep`] runs hand-written kernels and no autograd; [`CandleStep`] runs the Candle modules of
//! [`crate::layers`] and Candle's autograd on any device, and is the reference that the other is
//! tested against. With the same [`At`] both draw the same noise.
//!
//! Which weights take part: while `kl_scale` is 0 all do. While it is positive, a weight over the
//! threshold at this step has its mean, its variance and all its data gradients zero; the KL still
//! moves it, and it may come back. The same holds for a gate's units and their factors. At the end of an
//! epoch whose last step had `kl_scale` 1, what is over the threshold dies for good
//! ([`Parameters::kill`]).

mod candle;
mod cpu;

/// Values that one thread works on at a time, in passes without a structure of their own.
pub(crate) const CHUNK: usize = 16 * 1024;

pub use candle::CandleStep;
pub use cpu::{CpuConfig, CpuStep};
pub use vbd_net::output::Evaluation;

pub use crate::data::Batch;

use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::method::Update;
use crate::noise::{NoiseKey, Stream};
use crate::optim::Optimizer;
use crate::recipe::{Recipe, WeightSetting};
use crate::weight::Parameters;
use vbd_net::data::Samples;
use vbd_net::graph::NodeId;
use vbd_net::spec::NetSpec;

/// What is minimised, apart from what changes from step to step:
/// `(1/M) sum of nll + (kl_scale * kl_weight / N) sum of KL` (Liu et al. 2019, eq. 7, 12), where the nll of a sample
/// is the network's loss (cross-entropy, or half of the squared error), and the KL of each weight and that of each
/// gate's units may have a factor of its own.
#[derive(Debug, Clone)]
pub struct Objective {
    /// Samples trained on, N.
    pub n_train: usize,
    /// What holds for each weight.
    pub weights: Vec<WeightSetting>,
    /// Factor on the KL; other than 1 it makes a tempered posterior.
    pub kl_weight: f64,
    /// How values follow their gradients.
    pub optimizer: Optimizer,
    /// The gates, each with a prior, a KL weight and a threshold of its own.
    pub gates: Vec<Gate>,
}

impl Objective {
    /// The objective of a recipe for a network on `n_train` samples.
    ///
    /// # Errors
    /// As [`Gate::all`] and [`Method::of_weights`](crate::recipe::Method::of_weights).
    pub fn new(spec: &NetSpec, recipe: &Recipe, n_train: usize) -> Result<Self> {
        Ok(Self {
            n_train,
            weights: recipe.method.of_weights(spec)?,
            kl_weight: recipe.method.kl_weight,
            optimizer: recipe.train.optimizer(),
            gates: Gate::all(spec, &recipe.method)?,
        })
    }

    /// [`crate::Error::Shape`] if there is not one method for each of so many weights.
    fn check(&self, weights: usize) -> Result<()> {
        if self.weights.len() == weights {
            return Ok(());
        }
        Err(Error::Shape {
            name: "methods of weights".to_owned(),
            found: vec![self.weights.len()],
            expected: vec![weights],
        })
    }

    /// The factor on the sum of the KL.
    pub fn kl_factor(&self, kl_scale: f64) -> f64 {
        kl_scale * self.kl_weight / self.n_train as f64
    }

    /// A setting for each set of weights that share states of the net: that of the first of them.
    pub(crate) fn net_methods(&self) -> impl Iterator<Item = &WeightSetting> {
        let mut names = Vec::new();
        self.weights.iter().filter(move |setting| {
            let states = setting.method.net_states();
            let is_new = states.iter().any(|state| !names.contains(&state.name));
            names.extend(states.iter().map(|state| state.name));
            is_new
        })
    }

    /// What a step says to the methods of weights and gates, before their own factors.
    pub(crate) fn update(&self, at: &At) -> Update {
        #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
        let penalty_factor = self.kl_factor(at.kl_scale) as f32;
        Update {
            penalty_factor,
            descent: self.optimizer.at(at.lr, at.step),
            active: at.kl_scale > 0.0,
            at: *at,
        }
    }
}

/// Where a run is at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run, from 0.
    pub step: u32,
    /// Adam's step size.
    pub lr: f64,
    /// Factor on the KL, 0 to 1.
    pub kl_scale: f64,
}

impl At {
    /// The key of the step's draws for a purpose.
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
    /// One step of gradient descent; returns the sum of the batch's negative log-likelihoods, nats.
    ///
    /// # Errors
    /// If the device fails, a batch is larger than the engine was made for, or it has not the network's inputs and
    /// the targets that its loss asks for.
    fn step(&mut self, batch: &Batch, at: &At) -> Result<f64>;

    /// The outputs of a batch as a training step draws them, `[batch, outputs]`. Changes no parameter.
    ///
    /// # Errors
    /// As [`Step::step`].
    fn outputs(&mut self, batch: &Batch, at: &At) -> Result<Vec<f32>>;

    /// The outputs of the batch of the last [`Step::outputs`] again, with other values behind a node, its activation,
    /// pooling and gate: all that lies behind is computed anew, with the same noise. A second pass behind a changed mask
    /// costs no more than what lies behind the mask.
    ///
    /// # Shapes
    /// - `values`: `[batch, values of the node]`
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if they are not as many, or there was no batch; [`crate::Error::RunFromInput`] for the
    /// input; or if the device fails.
    fn outputs_from(&mut self, node: NodeId, values: &[f32], at: &At) -> Result<Vec<f32>>;

    /// The sum of the KL over all live weights and units, nats; that of a layer or a gate with a weight of
    /// its own times that.
    ///
    /// # Errors
    /// If the device fails.
    fn kl(&self) -> Result<f64>;

    /// How well the pruned network does, without noise.
    ///
    /// # Errors
    /// If the device fails, or the samples have not the network's inputs and the targets that its loss asks for.
    fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation>;

    /// The parameters with their moments, in host memory.
    ///
    /// # Errors
    /// If the device fails.
    fn parameters(&self) -> Result<Parameters>;

    /// Takes parameters over.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if they are not the network's.
    fn load(&mut self, parameters: &Parameters) -> Result<()>;
}
