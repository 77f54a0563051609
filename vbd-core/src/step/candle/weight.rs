//! A layer with parameters: its map, weight and bias.

use candle_core::{Device, Result as CandleResult, Tensor};

use super::variable::{StepDescent, Variable};
use crate::error::Result;
use crate::layers::{LinearMap, Masking, WeightedMap, WindowMap, sample};
use crate::method::Update;
use crate::noise::NoiseKey;
use crate::recipe::WeightSetting;
use crate::weight::{LayerParameters, Scope, State, Weight};
use vbd_net::graph::{WeightSpec, Window};

/// Map of a layer.
#[derive(Debug, Clone, Copy)]
enum Map {
    /// Linear map; flattens an image.
    Linear,
    Conv2d(WindowMap),
}

impl Map {
    fn new(spec: &WeightSpec, window: Option<Window>) -> Self {
        let groups = spec.groups;
        window.map_or(Self::Linear, |window| {
            Self::Conv2d(WindowMap { window, groups })
        })
    }
}

impl WeightedMap for Map {
    fn apply(&self, x: &Tensor, weight: &Tensor) -> CandleResult<Tensor> {
        match self {
            Self::Linear => LinearMap.apply(&x.flatten_from(1)?, weight),
            Self::Conv2d(conv) => conv.apply(x, weight),
        }
    }
}

/// A layer with parameters.
pub(super) struct CandleWeight {
    /// Number of the weight in the network.
    pub(super) number: usize,
    setting: WeightSetting,
    spec: WeightSpec,
    map: Map,
    theta: Variable,
    /// States of its method, per-entry states first.
    states: Vec<(State, Variable)>,
    bias: Variable,
}

impl CandleWeight {
    /// # Errors
    /// [`crate::Error::Shape`] if the parameters do not match `spec`, or if the device fails.
    pub(super) fn new(
        number: usize,
        setting: WeightSetting,
        spec: &WeightSpec,
        window: Option<Window>,
        parameters: &LayerParameters,
        device: &Device,
    ) -> Result<Self> {
        parameters.check(&spec.layer, &spec.shape, &*setting.method)?;
        let weight = parameters.weight.to_dense();
        let shape = &spec.shape[..];
        let states = weight.states().map(|state| {
            let len = [state.parameter.value.len()];
            let of = if state.scope == Scope::Entry {
                shape
            } else {
                &len
            };
            let variable = Variable::new(&state.parameter, of, device)?;
            Ok((state.clone(), variable))
        });
        Ok(Self {
            number,
            setting,
            map: Map::new(spec, window),
            theta: Variable::new(weight.theta(), shape, device)?,
            states: states.collect::<Result<_>>()?,
            bias: Variable::new(&parameters.bias, &shape[..1], device)?,
            spec: spec.clone(),
        })
    }

    pub(super) fn parameters(&self) -> Result<LayerParameters> {
        let states = self.states.iter();
        let states = states.map(|(state, variable)| Ok(state.with(variable.parameter()?)));
        let states = states.collect::<Result<_>>()?;
        Ok(LayerParameters {
            name: self.spec.layer.clone(),
            weight: Weight::dense(&self.spec.shape, self.theta.parameter()?, states)?,
            bias: self.bias.parameter()?,
        })
    }

    /// Returns the states of the method: the weight's own, then those of the net.
    fn states(&self, net: &[Tensor]) -> Vec<Tensor> {
        let own = self.states.iter().map(|(_, variable)| variable.value());
        own.chain(net).cloned().collect()
    }

    /// Computes a training draw, or without a key the mean with pruned weights at zero. `net` are
    /// the states of the net that its method has.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        net: &[Tensor],
        draw: Option<(NoiseKey, Masking)>,
    ) -> CandleResult<Tensor> {
        let (method, states) = (&self.setting.method, self.states(net));
        let (theta, bias) = (
            self.theta.value(),
            self.spec.has_bias.then(|| self.bias.value()),
        );
        let Some((key, masking)) = draw else {
            let kept = method.tensor_kept(theta, &states)?;
            return self.map.affine(x, &kept, bias);
        };
        let moments = method.tensor_moments(theta, &states, masking)?;
        sample(&self.map, x, &moments, bias, key)
    }

    /// Returns the summed and weighted penalty; `None` if the method has none.
    pub(super) fn penalty(&self, net: &[Tensor]) -> CandleResult<Option<Tensor>> {
        let (method, states) = (&self.setting.method, self.states(net));
        let penalty = method.tensor_penalty(self.theta.value(), &states)?;
        let weighted = penalty.map(|penalty| penalty * self.setting.kl_weight);
        weighted.transpose()
    }

    /// Updates every parameter; dead weights stay dead.
    pub(super) fn update(
        &mut self,
        descent: StepDescent<'_>,
        net: &[Tensor],
        update: &Update,
    ) -> CandleResult<()> {
        let method = &self.setting.method;
        let old_theta = self.theta.value().copy()?.detach();
        self.bias.update(descent, Ok)?;
        self.theta
            .update(descent, |new| method.tensor_theta(&old_theta, new))?;
        for (number, (state, variable)) in self.states.iter_mut().enumerate() {
            if state.is_trained {
                let old = variable.value().detach();
                variable.update(descent.of_state(state.lr_factor), |new| {
                    method.tensor_finish(number, &old, new)
                })?;
            }
        }
        if self.states.iter().any(|(state, _)| !state.is_trained) {
            let mut states = self.states(net);
            let update = update.times(self.setting.kl_weight);
            let theta = [&old_theta, self.theta.value()];
            method.tensor_set(theta, &mut states, &update)?;
            for ((_, variable), state) in self.states.iter().zip(&states) {
                variable.set(state)?;
            }
        }
        Ok(())
    }
}
