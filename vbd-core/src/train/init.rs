//! The parameters that a run starts from.

use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::layers::draw_theta;
use crate::recipe::{Recipe, WeightMethod};
use crate::weight::{GateParameters, LayerParameters, Parameter, Parameters, VariationalWeight};
use vbd_net::graph::WeightSpec;
use vbd_net::spec::NetSpec;

impl Parameters {
    /// New parameters of a network: theta drawn by the recipe's seed, biases 0.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if the network's sizes do not fit together.
    pub fn init(spec: &NetSpec, recipe: &Recipe) -> Result<Self> {
        let methods = recipe.method.of_weights(spec)?;
        let layers = (0..)
            .zip(spec.weights()?)
            .zip(&methods)
            .map(|((index, weight), method)| {
                let deviation = method.theta_init.deviation(weight.cols());
                let key = (recipe.train.seed, index);
                let theta = draw_theta(key, (weight.rows(), weight.cols()), deviation);
                let bias = vec![0.0; weight.rows()];
                fresh(&weight, method, theta, bias)
            });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            gates: fresh_gates(spec, recipe)?,
        })
    }

    /// The values of a trained network as a new start: moments 0, nothing dead, and `log_sigma2` at
    /// the recipe's first value where `trained` has none. Gates start anew.
    ///
    /// # Errors
    /// [`Error::Shape`] if `trained` is of another network; [`Error::StartHasGates`] if it has gates of
    /// its own.
    pub fn start_from(spec: &NetSpec, recipe: &Recipe, trained: &Self) -> Result<Self> {
        let weights = spec.weights()?;
        if weights.len() != trained.layers.len() {
            return Err(Error::Shape {
                name: "layers of the network to start from".to_owned(),
                found: vec![trained.layers.len()],
                expected: vec![weights.len()],
            });
        }
        // Nothing is left of gates that are noise alone: their theta is 1.
        let is_noise = |gate: &&GateParameters| {
            gate.theta
                .value
                .iter()
                .all(|theta| theta.to_bits() == 1.0_f32.to_bits())
        };
        if let Some(gate) = trained.gates.iter().find(|gate| !is_noise(gate)) {
            return Err(Error::StartHasGates {
                after: gate.after.clone(),
            });
        }
        let methods = recipe.method.of_weights(spec)?;
        let layers = weights.iter().zip(&methods).zip(&trained.layers);
        let layers = layers.map(|((weight, method), layer)| {
            if layer.weight.shape() != weight.shape {
                return Err(Error::Shape {
                    name: format!("{}.weight to start from", layer.name),
                    found: layer.weight.shape().to_vec(),
                    expected: weight.shape.clone(),
                });
            }
            let dense = layer.weight.to_dense();
            let theta = dense.theta().value.clone();
            let started = fresh(weight, method, theta, layer.bias.value.clone())?;
            let (Some(old), Some(new)) = (dense.log_sigma2(), started.weight.log_sigma2()) else {
                return Ok(started);
            };
            let alive = old.value.iter().zip(&new.value);
            let log_sigma2 = alive.map(|(&old, &new)| if old.is_finite() { old } else { new });
            let log_sigma2 = Some(Parameter::new(log_sigma2.collect()));
            let theta = started.weight.theta().clone();
            let weight = VariationalWeight::dense(&weight.shape, theta, log_sigma2)?;
            Ok(LayerParameters { weight, ..started })
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            gates: fresh_gates(spec, recipe)?,
        })
    }
}

fn fresh_gates(spec: &NetSpec, recipe: &Recipe) -> Result<Vec<GateParameters>> {
    let gates = Gate::all(spec, &recipe.method)?;
    let fresh = |gate| GateParameters::new(gate, recipe.method.log_sigma2_init);
    Ok(gates.iter().map(fresh).collect())
}

fn fresh(
    weight: &WeightSpec,
    method: &WeightMethod,
    theta: Vec<f32>,
    bias: Vec<f32>,
) -> Result<LayerParameters> {
    let log_sigma2 = method
        .prior()
        .map(|_| Parameter::new(vec![method.log_sigma2_init; theta.len()]));
    Ok(LayerParameters {
        name: weight.layer.clone(),
        weight: VariationalWeight::dense(&weight.shape, Parameter::new(theta), log_sigma2)?,
        bias: Parameter::new(bias),
    })
}
