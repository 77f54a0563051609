//! Initial parameters of a run.

use super::start::{Start, has_bias};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::layers::draw_theta;
use crate::noise::{NoiseKey, Stream};
use crate::recipe::{Recipe, WeightSetting};
use crate::weight::{
    GateParameters, LayerParameters, NormParameters, Parameter, Parameters, State, Weight,
};
use vbd_net::graph::{Graph, WeightSpec};
use vbd_net::spec::{NetSpec, Normalizer};

impl Parameters {
    /// Creates the initial parameters of a network: theta drawn with the recipe's seed, biases 0.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if the network is invalid.
    pub fn init(spec: &NetSpec, recipe: &Recipe) -> Result<Self> {
        let methods = recipe.method.of_weights(spec)?;
        let layers = (0..)
            .zip(spec.weights()?)
            .zip(&methods)
            .map(|((index, weight), method)| {
                let deviation = method.theta_init.deviation(weight.cols());
                let key = NoiseKey {
                    seed: recipe.train.seed,
                    step: 0,
                    stream: Stream::Init(index),
                };
                let theta = draw_theta(key, [weight.rows(), weight.cols()], deviation);
                let bias = vec![0.0; weight.rows()];
                fresh(&weight, method, theta, bias)
            });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
            norms: spec
                .resolve()?
                .norms()
                .iter()
                .map(NormParameters::new)
                .collect(),
            gates: fresh_gates(spec, recipe)?,
            net: net_states(&methods),
        })
    }

    /// Creates initial parameters from a trained network: moments 0, nothing dead, gates new.
    /// States of the recipe's methods are new unless `start` has one of that name. `normalizer` is
    /// that of the run, whose mean the biases of a pruned file do not know.
    ///
    /// # Errors
    /// [`Error::StartDiffers`] if the start is of another network.
    pub fn start_from(
        spec: &NetSpec,
        recipe: &Recipe,
        start: &Start,
        normalizer: &Normalizer,
    ) -> Result<Self> {
        let trained = &start.parameters;
        let weights = spec.weights()?;
        let differs = |problem: String| Error::StartDiffers {
            net: spec.name.clone(),
            start: start.spec.name.clone(),
            problem,
        };
        if weights.len() != trained.layers.len() {
            let names = |names: &mut dyn Iterator<Item = &String>| {
                names.cloned().collect::<Vec<_>>().join(", ")
            };
            return Err(differs(format!(
                "it has the layers {}: expected {}",
                names(&mut trained.layers.iter().map(|layer| &layer.name)),
                names(&mut weights.iter().map(|weight| &weight.layer)),
            )));
        }
        let graph = spec.resolve()?;
        let norms = started_norms(&graph, &trained.norms).map_err(differs)?;
        let methods = recipe.method.of_weights(spec)?;
        let layers = weights.iter().zip(&methods).zip(&trained.layers);
        let layers = layers.map(|((weight, method), layer)| {
            if layer.weight.shape() != weight.shape {
                return Err(differs(format!(
                    "its layer `{}` has shape {:?}: expected {:?}, of layer `{}`",
                    layer.name,
                    layer.weight.shape(),
                    weight.shape,
                    weight.layer
                )));
            }
            if has_bias(layer) && !weight.has_bias {
                let (name, own) = (&layer.name, &weight.layer);
                return Err(differs(format!(
                    "its layer `{name}` has a bias, layer `{own}` has none"
                )));
            }
            let dense = layer.weight.to_dense();
            let theta = dense.theta().value.clone();
            let started = fresh(weight, method, theta, layer.bias.value.clone())?;
            let states = started.weight.states().map(|new| {
                let old = dense.states().find(|old| old.name == new.name);
                let old = old.filter(|old| old.scope == new.scope);
                old.map_or_else(|| new.clone(), |old| started_from(new, old))
            });
            let theta = started.weight.theta().clone();
            let weight = Weight::dense(&weight.shape, theta, states.collect())?;
            Ok(LayerParameters { weight, ..started })
        });
        let mut layers = layers.collect::<Result<Vec<_>>>()?;
        let unfolded = start.unfold_mean(&mut layers, spec, &graph, normalizer);
        unfolded.map_err(differs)?;
        Ok(Self {
            layers,
            norms,
            gates: fresh_gates(spec, recipe)?,
            net: net_states(&methods),
        })
    }
}

/// Returns trained batch normalisations without moments, or how they differ from the network's.
fn started_norms(graph: &Graph, trained: &[NormParameters]) -> Result<Vec<NormParameters>, String> {
    let (found, expected) = (trained.len(), graph.norms().len());
    if found != expected {
        return Err(format!(
            "it has {found} batch normalisations: expected {expected}"
        ));
    }
    let pairs = graph.norms().iter().zip(trained);
    let norms = pairs.map(|(norm, trained)| {
        let (found, expected) = (trained.weight.value.len(), norm.units);
        if found != expected {
            let (name, own) = (&trained.name, &norm.layer);
            return Err(format!(
                "its layer `{name}` has {found} units: expected {expected}, of layer `{own}`"
            ));
        }
        Ok(NormParameters {
            name: norm.layer.clone(),
            weight: Parameter::new(trained.weight.value.clone()),
            bias: Parameter::new(trained.bias.value.clone()),
            ..trained.clone()
        })
    });
    norms.collect()
}

/// Returns a state with the values of another one, except those of dead entries.
fn started_from(new: &State, old: &State) -> State {
    let values = old.parameter.value.iter().zip(&new.parameter.value);
    let values = values.map(|(&old_value, &new_value)| {
        if Some(old_value) == old.dead {
            new_value
        } else {
            old_value
        }
    });
    new.with(Parameter::new(values.collect()))
}

/// Returns the initial states shared by weights, each once.
pub(super) fn net_states(settings: &[WeightSetting]) -> Vec<State> {
    let mut net: Vec<State> = Vec::new();
    for state in settings
        .iter()
        .flat_map(|setting| setting.method.net_states())
    {
        if net.iter().all(|known| known.name != state.name) {
            net.push(state);
        }
    }
    net
}

fn fresh_gates(spec: &NetSpec, recipe: &Recipe) -> Result<Vec<GateParameters>> {
    let gates = Gate::all(spec, &recipe.method)?;
    Ok(gates.iter().map(GateParameters::new).collect())
}

fn fresh(
    weight: &WeightSpec,
    setting: &WeightSetting,
    theta: Vec<f32>,
    bias: Vec<f32>,
) -> Result<LayerParameters> {
    let states = setting.method.states(&weight.shape);
    Ok(LayerParameters {
        name: weight.layer.clone(),
        weight: Weight::dense(&weight.shape, Parameter::new(theta), states)?,
        bias: Parameter::new(bias),
    })
}
