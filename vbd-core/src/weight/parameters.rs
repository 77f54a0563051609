//! Parameters of a network: weights, biases and gates.

use super::{GateParameters, NormParameters, Parameter, State, Weight};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::method::WeightMethod;
use crate::recipe::WeightSetting;
use vbd_net::graph::{Graph, NodeId};

/// Factors of units that could not be folded into weights.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitFactors {
    /// Node of the units.
    pub node: NodeId,
    /// Factor of each unit; 0 if dead.
    pub theta: Vec<f32>,
}

/// Parameters of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerParameters {
    /// Name of the layer.
    pub name: String,
    /// Weight of the layer.
    pub weight: Weight,
    /// Bias, `[out]`, without posterior and never pruned.
    pub bias: Parameter,
}

/// All parameters of a network, in layer order.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// One entry per layer with parameters.
    pub layers: Vec<LayerParameters>,
    /// One entry per batch normalisation.
    pub norms: Vec<NormParameters>,
    /// One entry per gate of the method.
    pub gates: Vec<GateParameters>,
    /// States shared by all weights of a method.
    pub net: Vec<State>,
}

impl From<Vec<LayerParameters>> for Parameters {
    /// Creates the parameters of a network without gates and batch normalisations.
    fn from(layers: Vec<LayerParameters>) -> Self {
        Self {
            layers,
            norms: Vec::new(),
            gates: Vec::new(),
            net: Vec::new(),
        }
    }
}

impl LayerParameters {
    /// Checks name, shape of the weight, and states of the method.
    ///
    /// # Errors
    /// [`Error::Shape`] if name or shape differ; [`Error::States`] if the weight has other states.
    pub fn check(&self, name: &str, shape: &[usize], method: &dyn WeightMethod) -> Result<()> {
        if self.name != name || self.weight.shape() != shape {
            return Err(Error::Shape {
                name: format!("{}.weight for {name}", self.name),
                found: self.weight.shape().to_vec(),
                expected: shape.to_vec(),
            });
        }
        self.weight.check_states(&method.states(&[0; 4]), name)
    }
}

impl Parameters {
    /// Checks the number of layers, the batch normalisations and the gates.
    ///
    /// # Errors
    /// [`Error::Shape`] if they differ.
    pub fn check(&self, graph: &Graph, gates: &[Gate]) -> Result<()> {
        let counts = [
            ("layers", self.layers.len(), graph.weights().len()),
            ("batch norms", self.norms.len(), graph.norms().len()),
            ("gates", self.gates.len(), gates.len()),
        ];
        for (name, found, expected) in counts {
            if found != expected {
                return Err(Error::Shape {
                    name: name.to_owned(),
                    found: vec![found],
                    expected: vec![expected],
                });
            }
        }
        for (own, norm) in self.norms.iter().zip(graph.norms()) {
            own.check(norm)?;
        }
        for (own, gate) in self.gates.iter().zip(gates) {
            own.check(gate)?;
        }
        Ok(())
    }

    /// Kills everything that is not kept at the end of an epoch: entries of each weight whose
    /// method kills, units above their gates' thresholds, and the weights and biases of those
    /// units.
    ///
    /// # Panics
    /// If there are fewer settings than weights.
    pub fn kill(&mut self, settings: &[WeightSetting], gates: &[Gate]) {
        self.drop_entries(settings, gates, Weight::kill);
    }

    /// Sets everything that is not kept to 0, as in evaluation, reports and the pruned file: what
    /// [`Parameters::kill`] kills, and what may return in training.
    ///
    /// # Panics
    /// If there are fewer settings than weights.
    pub fn prune(&mut self, settings: &[WeightSetting], gates: &[Gate]) {
        self.drop_entries(settings, gates, Weight::prune);
    }

    fn drop_entries(
        &mut self,
        settings: &[WeightSetting],
        gates: &[Gate],
        drop: impl Fn(&mut Weight, &dyn WeightMethod),
    ) {
        assert!(
            settings.len() >= self.layers.len(),
            "one setting per weight"
        );
        for (layer, setting) in self.layers.iter_mut().zip(settings) {
            drop(&mut layer.weight, &*setting.method);
        }
        self.drop_units(gates);
    }

    /// Sets units above their gates' thresholds to 0, and the weights and biases of those units.
    pub(crate) fn drop_units(&mut self, gates: &[Gate]) {
        let kept = self.kept_units(gates);
        for ((own, gate), kept) in self.gates.iter_mut().zip(gates).zip(&kept) {
            own.kill(kept);
            if let Some(producer) = gate.producer {
                let layer = &mut self.layers[producer];
                let row_len = layer.weight.numel() / kept.len();
                layer.weight.kill_places(|place| kept[place / row_len]);
                layer.bias.clear_dropped(kept, 0.0);
            }
            for &reader in &gate.readers {
                let weight = &mut self.layers[reader.weight].weight;
                let row_len = weight.numel() / weight.shape()[0];
                weight.kill_places(|place| kept[reader.unit(place / row_len, place % row_len)]);
            }
        }
    }

    /// Removes the gates: each factor's theta is folded into the weights that read its unit, since
    /// a negative factor cannot pass the ReLU or pooling before it. Returns the factors that could
    /// not be folded, of units with other consumers.
    pub fn fold(&mut self, gates: &[Gate]) -> Vec<UnitFactors> {
        let mut left = Vec::new();
        for (own, gate) in std::mem::take(&mut self.gates).into_iter().zip(gates) {
            let theta = own.theta().value.clone();
            if !gate.prunes {
                continue;
            }
            if !gate.folds {
                left.push(UnitFactors {
                    node: gate.node,
                    theta,
                });
                continue;
            }
            for &reader in &gate.readers {
                let weight = &mut self.layers[reader.weight].weight;
                let row_len = weight.numel() / weight.shape()[0];
                weight.scale(|place| theta[reader.unit(place / row_len, place % row_len)]);
            }
        }
        left
    }

    /// Returns which units of each gate are kept at its threshold. Where both have gates, a
    /// flattened feature is kept only if its channel is, and a channel only if one of its features
    /// is.
    pub fn kept_units(&self, gates: &[Gate]) -> Vec<Vec<bool>> {
        let own = self.gates.iter().zip(gates);
        let mut kept: Vec<Vec<bool>> = own.map(|(own, gate)| own.kept(gate)).collect();
        for channels in 0..kept.len() {
            for features in channels + 1..kept.len() {
                let (outer, inner) = (&gates[channels], &gates[features]);
                let Some(area) = area_of(outer, inner) else {
                    continue;
                };
                let mut any = vec![false; kept[channels].len()];
                for feature in 0..kept[features].len() {
                    let channel = feature / area;
                    kept[features][feature] &= kept[channels][channel];
                    any[channel] |= kept[features][feature];
                }
                // Other consumers of the channels may need them.
                if outer.folds && outer.readers.len() == inner.readers.len() {
                    kept[channels] = any;
                }
            }
        }
        kept
    }

    /// Returns the name of the first parameter with a NaN or infinity.
    pub fn not_finite(&self) -> Option<String> {
        let layer = self.layers.iter().find_map(|layer| {
            let name = &layer.name;
            if !layer.weight.is_finite() {
                return Some(format!("{name}.weight"));
            }
            (!layer.bias.is_finite(None)).then(|| format!("{name}.bias"))
        });
        let norm = || self.norms.iter().find_map(NormParameters::not_finite);
        let gate = || self.gates.iter().find(|gate| !gate.is_finite());
        let net = || self.net.iter().find(|state| !state.is_finite());
        let net = || net().map(|state| state.name.to_owned());
        layer
            .or_else(norm)
            .or_else(|| gate().map(|gate| format!("gate.{}", gate.after)))
            .or_else(net)
    }
}

/// If `outer`'s units are only read through `inner`, returns the units of `inner` per unit of
/// `outer`.
fn area_of(outer: &Gate, inner: &Gate) -> Option<usize> {
    let columns_of = |weight: usize| {
        let reader = outer.readers.iter().find(|reader| reader.weight == weight);
        reader.map(|reader| reader.columns)
    };
    let areas = inner.readers.iter().map(|reader| {
        let columns = columns_of(reader.weight)?;
        Some(columns / reader.columns)
    });
    areas.collect::<Option<Vec<usize>>>()?.first().copied()
}
