//! The objective of training: what is minimised.

use super::At;
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::method::Update;
use crate::optim::Optimizer;
use crate::recipe::{Recipe, WeightSetting};
use vbd_net::spec::NetSpec;

/// The objective without its step-dependent factors: `(1/M) sum of nll + (kl_scale * kl_weight / N)
/// sum of KL` (Liu et al. 2019, eq. 7, 12). The nll of a sample is the network's loss
/// (cross-entropy, or half the squared error). The KL of each weight and gate may have a factor of
/// its own.
#[derive(Debug, Clone)]
pub struct Objective {
    /// Number of training samples, N.
    pub n_train: usize,
    /// Setting of each weight.
    pub weights: Vec<WeightSetting>,
    /// Factor on the KL. Values other than 1 give a tempered posterior.
    pub kl_weight: f64,
    /// Optimiser.
    pub optimizer: Optimizer,
    /// Gates, each with its own prior, KL weight and threshold.
    pub gates: Vec<Gate>,
}

impl Objective {
    /// Creates the objective of a recipe for a network with `n_train` training samples.
    ///
    /// # Errors
    /// Those of [`Gate::all`] and [`Method::of_weights`](crate::recipe::Method::of_weights).
    pub fn new(spec: &NetSpec, recipe: &Recipe, n_train: usize) -> Result<Self> {
        Ok(Self {
            n_train,
            weights: recipe.method.of_weights(spec)?,
            kl_weight: recipe.method.kl_weight,
            optimizer: recipe.train.optimizer(),
            gates: Gate::all(spec, &recipe.method)?,
        })
    }

    /// Returns [`crate::Error::Shape`] unless there is one setting per weight.
    pub(super) fn check(&self, weights: usize) -> Result<()> {
        if self.weights.len() == weights {
            return Ok(());
        }
        Err(Error::Shape {
            name: "methods of weights".to_owned(),
            found: vec![self.weights.len()],
            expected: vec![weights],
        })
    }

    /// Computes the loss: `nll + kl_scale * kl_weight / N * kl`, for the mean `nll` per sample and the
    /// total `kl`, in nats.
    ///
    /// The engines descend along its gradient: [`CandleStep`](super::CandleStep) by autograd of this
    /// sum, [`CpuStep`](super::CpuStep) by the gradients of both terms, of which the method's kernel
    /// scales that of the KL by [`Objective::kl_factor`].
    pub fn loss(&self, nll: f64, kl: f64, kl_scale: f64) -> f64 {
        nll + self.kl_factor(kl_scale) * kl
    }

    /// Returns the factor on the summed KL: `kl_scale * kl_weight / N`.
    pub fn kl_factor(&self, kl_scale: f64) -> f64 {
        kl_scale * self.kl_weight / self.n_train as f64
    }

    /// Returns one setting for each set of weights that share states of the net: the first one's.
    pub(crate) fn net_methods(&self) -> impl Iterator<Item = &WeightSetting> {
        let mut names = Vec::new();
        self.weights.iter().filter(move |setting| {
            let states = setting.method.net_states();
            let is_new = states.iter().any(|state| !names.contains(&state.name));
            names.extend(states.iter().map(|state| state.name));
            is_new
        })
    }

    /// Returns the settings of an update, without the own factors of weights and gates.
    pub(crate) fn update(&self, at: &At) -> Update {
        #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
        let kl_factor = self.kl_factor(at.kl_scale) as f32;
        Update {
            kl_factor,
            descent: self.optimizer.at(at.lr, at.step),
            active: at.kl_scale > 0.0,
            at: *at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_nll_and_the_scaled_share_of_the_kl() {
        let objective = Objective {
            n_train: 50,
            weights: Vec::new(),
            kl_weight: 2.0,
            optimizer: Optimizer::Adam,
            gates: Vec::new(),
        };
        // 0.75 + 0.5 * 2 / 50 * 10
        assert!((objective.loss(0.75, 10.0, 0.5) - 0.95).abs() < 1e-12);
        assert!((objective.loss(0.75, 10.0, 0.0) - 0.75).abs() < 1e-12);
    }
}
