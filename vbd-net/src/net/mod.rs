//! A pruned net in memory: a network with its remaining weights.

mod blank;
mod tensors;

use std::collections::BTreeMap;

pub use tensors::{NetTensors, NormTensors, PrunedLayer, Selection, UnitScale};

use crate::data::Values;
use crate::graph::{Graph, NodeId, TensorSlot};
use crate::ops::{NodeTensors, Units};
use crate::spec::{NetSpec, Statistic, Target, normalized, normalized_extremes};

use crate::error::Result;
use crate::format::{MOST_ROWS, Method, Provenance, ValueType};
use crate::passes::{PositionMap, batch_norm};
use crate::statistic::PerInput;

/// Origin of a net's weights, as far as known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// Method of training.
    pub method: Option<Method>,
    /// Threshold of `log_alpha` applied to the weights; `None` if the zeros existed before.
    pub threshold: Option<f32>,
    /// Provenance of the net.
    pub provenance: Provenance,
}

/// A network with its kept weights only.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedNet {
    pub(crate) spec: NetSpec,
    pub(crate) graph: Graph,
    pub(crate) method: Option<Method>,
    pub(crate) threshold: Option<f32>,
    pub(crate) provenance: Provenance,
    pub(crate) layers: Vec<PrunedLayer>,
    /// Returns the selections, in order.
    pub(crate) selections: Vec<Selection>,
    /// Returns the scales, in order.
    pub(crate) scales: Vec<UnitScale>,
    /// Original network of a shrunk one.
    pub(crate) before: Option<NetSpec>,
    /// Mean image, `[input_len]`, if the normalisation has one.
    pub(crate) mean: Option<Vec<f32>>,
    /// Standard deviations, `[input_len]`, if the normalisation has an image of them.
    pub(crate) std: Option<Vec<f32>>,
}

impl PrunedNet {
    /// Creates a net from its tensors. Batch normalisations are folded into the weights before them;
    /// those that follow another layer, or a weight with other consumers, become a `scale`.
    ///
    /// # Errors
    /// [`Error::Spec`](crate::Error::Spec) if the network is invalid, a layer without a bias has
    /// one, or a value becomes infinite by folding; [`Error::Mismatch`](crate::Error::Mismatch) if a
    /// tensor does not fit the network; [`Error::Part`](crate::Error::Part) if a value of a batch
    /// normalisation is not finite, or a variance is negative.
    pub fn new(spec: NetSpec, parts: NetTensors, origin: Origin) -> Result<Self> {
        let graph = spec.resolve()?;
        parts.check(&spec, &graph)?;
        Self::folded(spec, graph, parts, origin)
    }

    /// Creates a net from a resolved network and matching tensors, with its batch normalisations
    /// folded.
    fn folded(spec: NetSpec, graph: Graph, parts: NetTensors, mut origin: Origin) -> Result<Self> {
        let folded = batch_norm::fold(spec, graph, parts)?;
        origin.provenance.folded.extend(folded.into);
        let net = Self::assemble(folded.spec, folded.graph, folded.parts, origin);
        net.check_inputs()?;
        Ok(net)
    }

    /// Creates a net from dense tensors by name. Zeros of a weight are the entries that are pruned.
    ///
    /// A layer `fc1` has the tensors `fc1.weight` and, unless it has no bias, `fc1.bias`, as in
    /// PyTorch, row-major. A batch normalisation also has `bn1.running_mean` and `bn1.running_var`;
    /// it is folded as in [`PrunedNet::new`]. An image of means or standard deviations is
    /// `normalize.mean` or `normalize.std`.
    ///
    /// ```
    /// use vbd_net::{Plan, PrunedNet, spec::NetSpec};
    ///
    /// let spec = NetSpec::from_json(
    ///     r#"{"name": "tiny", "input": [4], "classes": 2,
    ///         "layer": [{"kind": "linear", "name": "fc1", "out_features": 2}]}"#,
    /// )?;
    /// let net = PrunedNet::from_parts(
    ///     spec,
    ///     [
    ///         ("fc1.weight", vec![0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0]),
    ///         ("fc1.bias", vec![0.5, 0.0]),
    ///     ],
    /// )?;
    /// assert_eq!(net.layers()[0].weight.nnz(), 2);
    /// assert_eq!(Plan::new(&net)?.session().run(&[0_u8, 10, 20, 30])?, [20.5, 20.0]);
    /// # Ok::<(), vbd_net::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Spec`](crate::Error::Spec) if the network is invalid;
    /// [`Error::AbsentTensor`](crate::Error::AbsentTensor) and
    /// [`Error::UnknownTensor`](crate::Error::UnknownTensor) if a tensor is missing or not the
    /// network's; [`Error::Mismatch`](crate::Error::Mismatch) if its length is wrong;
    /// [`Error::Part`](crate::Error::Part) if a value is NaN or infinite, a standard deviation is
    /// not positive, a variance is negative, or the indices of a selection do not increase.
    pub fn from_parts<Name: Into<String>>(
        spec: NetSpec,
        tensors: impl IntoIterator<Item = (Name, Vec<f32>)>,
    ) -> Result<Self> {
        let graph = spec.resolve()?;
        let named = tensors.into_iter();
        let named: BTreeMap<String, Vec<f32>> =
            named.map(|(name, values)| (name.into(), values)).collect();
        let tensors = NetTensors::from_named(&spec, &graph, named)?;
        Self::folded(spec, graph, tensors, Origin::default())
    }

    /// Creates a net from a resolved network and matching tensors.
    pub(crate) fn assemble(spec: NetSpec, graph: Graph, parts: NetTensors, origin: Origin) -> Self {
        let NetTensors {
            layers,
            selections,
            scales,
            mean,
            std,
            ..
        } = parts;
        Self {
            spec,
            graph,
            method: origin.method,
            threshold: origin.threshold,
            provenance: origin.provenance,
            layers,
            selections,
            scales,
            before: None,
            mean,
            std,
        }
    }

    /// Checks that no byte becomes infinite by normalisation.
    pub(crate) fn check_inputs(&self) -> Result<()> {
        let (scale, mean, std) = (self.scale(), self.mean_values(), self.std_values());
        for place in 0..self.spec.input_len() {
            let (mean, std) = (mean.at(place), std.at(place));
            if normalized_extremes(scale, mean, std)
                .iter()
                .any(|value| !value.is_finite())
            {
                return Err(self.spec.problem(
                    "normalize",
                    format!("input {place} becomes infinite: mean is {mean} and std is {std}"),
                ));
            }
        }
        Ok(())
    }

    /// Returns the network.
    pub fn spec(&self) -> &NetSpec {
        &self.spec
    }

    /// Returns the resolved network.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the tensors of a node.
    pub fn tensors(&self, id: NodeId) -> NodeTensors<'_> {
        match self.graph.node(id).slot {
            // A pruned net has no batch normalisation.
            TensorSlot::Nothing | TensorSlot::Norm(_) => NodeTensors::Nothing,
            TensorSlot::Weight(weight) => NodeTensors::Weight(&self.layers[weight]),
            TensorSlot::Index(index) => NodeTensors::Index(&self.selections[index].index),
            TensorSlot::Scale(scale) => NodeTensors::Scale(&self.scales[scale]),
        }
    }

    /// Returns the method of training, if known.
    pub fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// Returns the threshold of `log_alpha` applied to the weights; `None` if the zeros existed
    /// before.
    pub fn threshold(&self) -> Option<f32> {
        self.threshold
    }

    /// Provenance of the net.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Returns the layers with weights, in order.
    pub fn layers(&self) -> &[PrunedLayer] {
        &self.layers
    }

    /// Returns the selections, in order.
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// Returns the scales, in order.
    pub fn scales(&self) -> &[UnitScale] {
        &self.scales
    }

    /// Returns the original network of a shrunk one, or this network.
    pub fn original(&self) -> &NetSpec {
        self.before.as_ref().unwrap_or(&self.spec)
    }

    /// Returns whether the network was shrunk: whether units were removed.
    pub fn is_shrunk(&self) -> bool {
        self.before.is_some()
    }

    /// Returns the factor on a pixel.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub fn scale(&self) -> f32 {
        self.spec.normalize.scale as f32
    }

    /// Returns the mean subtracted from each scaled pixel.
    pub fn mean_values(&self) -> PerInput {
        PerInput::new(&self.spec.normalize.mean, self.mean.as_ref(), &self.spec)
    }

    /// Returns the standard deviations.
    pub fn std_values(&self) -> PerInput {
        PerInput::new(&self.spec.normalize.std, self.std.as_ref(), &self.spec)
    }

    /// Normalises whole samples. The result is the input of the layers and the target of an
    /// autoencoder.
    pub fn normalize(&self, inputs: Values<'_>) -> Vec<f32> {
        let (scale, mean, std) = (self.scale(), self.mean_values(), self.std_values());
        let len = self.spec.input_len().max(1);
        let mut values = inputs.to_f32();
        for (index, value) in values.iter_mut().enumerate() {
            let place = index % len;
            *value = normalized(*value, scale, mean.at(place), std.at(place));
        }
        values
    }

    /// Returns the mean and std images with their tensor names.
    pub fn images(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        let images = [("normalize.mean", &self.mean), ("normalize.std", &self.std)];
        images
            .into_iter()
            .filter_map(|(name, image)| Some((name, image.as_deref()?)))
    }

    /// Returns the net with values rounded to `values` and, if it starts with a linear layer, the
    /// mean folded into that layer's bias. Rounding comes first.
    pub(crate) fn rounded(&self, values: ValueType) -> Result<Self> {
        let mut net = self.clone();
        for layer in &mut net.layers {
            let name = layer.weight_name();
            layer.weight = layer.weight.try_map(|value| values.round(value, &name))?;
        }
        net.fold_mean();
        for scale in &mut net.scales {
            let names = scale.names();
            for (name, own) in names.iter().zip([&mut scale.weight, &mut scale.bias]) {
                for value in own {
                    *value = values.round(*value, name)?;
                }
            }
        }
        for layer in &mut net.layers {
            let name = layer.bias_name();
            for bias in &mut layer.bias {
                *bias = values.round(*bias, &name)?;
            }
        }
        net.add_biases();
        Ok(net)
    }

    /// Gives a bias to the layers without one whose rows have been shifted, and to those whose rows
    /// are too many for a file without their biases.
    fn add_biases(&mut self) {
        let mut rows = 0_usize;
        let mut lacking = Vec::new();
        for (layer, weight) in self.layers.iter().zip(self.graph.weights()) {
            if weight.has_bias {
                continue;
            }
            let is_shifted = layer.bias.iter().any(|&bias| bias != 0.0);
            let all = rows.saturating_add(layer.bias.len());
            if is_shifted || all > MOST_ROWS {
                lacking.push(weight.node);
            } else {
                rows = all;
            }
        }
        if lacking.is_empty() {
            return;
        }
        for node in lacking {
            if let Some(layer) = self.graph.node(node).layer {
                self.spec.layers[layer].kind_mut().add_bias();
            }
        }
        self.graph = self.spec.resolve().expect("a bias changes no shape");
    }

    /// `W ((p scale - mean) / std) + b = W (p scale / std) + (b - W (mean / std))`: moves the mean
    /// into the biases of the linear layers that read the input, computed in f64. The mean stays if
    /// the normalised input is also the target. Its blank color is recorded.
    #[expect(clippy::cast_possible_truncation, reason = "biases are f32")]
    fn fold_mean(&mut self) {
        let zero = Statistic::Number(0.0);
        let is_target = self.spec.target == Some(Target::Input);
        if is_target || !self.graph.starts_linear() || self.spec.normalize.mean == zero {
            return;
        }
        let (mean, std) = (self.mean_values(), self.std_values());
        for reader in self.graph.readers(NodeId::INPUT) {
            let TensorSlot::Weight(weight) = self.graph.node(reader).slot else {
                continue;
            };
            let inputs = self.input_positions(self.graph.node(reader).inputs[0]);
            let first = &mut self.layers[weight];
            for (row, bias) in first.bias.iter_mut().enumerate() {
                let (columns, values) = first.weight.row(row);
                let shift: f64 = columns
                    .iter()
                    .zip(values)
                    .map(|(&col, &value)| {
                        let input = inputs.place(col as usize);
                        let (mean, std) = (mean.at(input), std.at(input));
                        f64::from(value) * f64::from(mean) / f64::from(std)
                    })
                    .sum();
                *bias = (f64::from(*bias) - shift) as f32;
            }
        }
        self.provenance.blank = self.blank();
        self.spec.normalize.mean = zero;
        self.mean = None;
    }

    /// Returns the input value that each column of a linear layer reads, for a layer that reads
    /// `node`, which flattens or selects the input.
    fn input_positions(&self, node: NodeId) -> PositionMap {
        let mut way = Vec::new();
        let mut at = node;
        while let [before] = self.graph.node(at).inputs[..] {
            way.push(at);
            at = before;
        }
        let area = self.graph.node(at).shape.area();
        let mut positions = PositionMap::default();
        for &node in way.iter().rev() {
            match (self.graph.node(node).units, self.tensors(node)) {
                (Some(Units::Flatten), _) => positions.flatten(area),
                (_, NodeTensors::Index(index)) => positions.select(index),
                _ => {}
            }
        }
        positions.flatten(area);
        positions
    }
}
