//! A pruned net in memory: a network with its remaining weights.

use crate::data::Values;
use crate::graph::{Graph, NodeId, Owns};
use crate::matrix::SparseMatrix;
use crate::ops::{Own, Units};
use crate::spec::{LayerKind, NetSpec, Statistic, Target, normalized};

use crate::error::{Error, Result};
use crate::format::{Method, Provenance, ValueType};
use crate::passes::Selected;
use crate::statistic::PerInput;

/// Weight and bias of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedLayer {
    /// Name of the layer.
    pub name: String,
    /// Kind of the layer.
    pub kind: LayerKind,
    /// Shape of the weight, `[out, in]` or `[out, in, kernel, kernel]`.
    pub shape: Vec<usize>,
    /// Kept entries of the weight, one row per output.
    pub weight: SparseMatrix,
    /// The bias, `[out]`.
    pub bias: Vec<f32>,
}

impl PrunedLayer {
    /// Returns the name of the weight's tensor, without the suffixes of its layout.
    pub fn weight_name(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Returns the name of the bias tensor.
    pub fn bias_name(&self) -> String {
        format!("{}.bias", self.name)
    }
}

/// Units kept by a selection layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Name of the layer.
    pub name: String,
    /// Indices of the input's features or channels, increasing.
    pub index: Vec<u32>,
}

impl Selection {
    /// Returns the name of the index tensor.
    pub fn index_name(&self) -> String {
        format!("{}.index", self.name)
    }
}

/// Factor and shift of each unit, of a scale layer.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitScale {
    /// Name of the layer.
    pub name: String,
    /// The factors, `[units]`.
    pub weight: Vec<f32>,
    /// The shifts, `[units]`.
    pub bias: Vec<f32>,
}

impl UnitScale {
    /// Returns the names of the tensors of factors and shifts.
    pub fn names(&self) -> [String; 2] {
        ["weight", "bias"].map(|what| format!("{}.{what}", self.name))
    }
}

/// The tensors of a net.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parts {
    /// One per weight of the network, in order.
    pub layers: Vec<PrunedLayer>,
    /// One per selection, in order.
    pub selections: Vec<Selection>,
    /// One per scale, in order.
    pub scales: Vec<UnitScale>,
    /// Mean image, `[input_len]`, if the normalisation has one.
    pub mean: Option<Vec<f32>>,
    /// Standard deviations, `[input_len]`, if the normalisation has an image of them.
    pub std: Option<Vec<f32>>,
}

impl Parts {
    /// Checks the tensors against the network. Returns [`Error::Mismatch`] naming the tensor.
    fn check(&self, spec: &NetSpec, graph: &Graph) -> Result<()> {
        count("weights", self.layers.len(), graph.weights().len())?;
        count("selections", self.selections.len(), graph.indices())?;
        count("scales", self.scales.len(), graph.scales())?;
        for (layer, weight) in self.layers.iter().zip(graph.weights()) {
            let name = layer.weight_name();
            if layer.name != weight.layer || layer.kind != weight.kind {
                return Err(Error::mismatch(&name, &layer.shape, &weight.shape));
            }
            let sizes = [layer.weight.rows(), layer.weight.cols()];
            if layer.shape != weight.shape || sizes != [weight.rows(), weight.cols()] {
                return Err(Error::mismatch(&name, &layer.shape, &weight.shape));
            }
            count(&layer.bias_name(), layer.bias.len(), weight.rows())?;
        }
        for (_, node) in graph.nodes() {
            let input = |index: usize| graph.node(node.inputs[index]).shape.units();
            match node.owns {
                Owns::Nothing | Owns::Weight(_) => {}
                Owns::Index(index) => {
                    let selection = &self.selections[index];
                    let rises = selection.index.windows(2).all(|pair| pair[0] < pair[1]);
                    let inside = selection
                        .index
                        .last()
                        .is_some_and(|&last| (last as usize) < input(0));
                    let found = if rises && inside {
                        selection.index.len()
                    } else {
                        0
                    };
                    count(&selection.index_name(), found, node.shape.units())?;
                }
                Owns::Scale(index) => {
                    let scale = &self.scales[index];
                    let [weight, bias] = scale.names();
                    count(&weight, scale.weight.len(), input(0))?;
                    count(&bias, scale.bias.len(), input(0))?;
                }
            }
        }
        let rule = &spec.normalize;
        let images = [
            ("normalize.mean", &rule.mean, &self.mean),
            ("normalize.std", &rule.std, &self.std),
        ];
        for (name, rule, image) in images {
            let expected = if rule.is_image() { spec.input_len() } else { 0 };
            count(name, image.as_ref().map_or(0, Vec::len), expected)?;
        }
        Ok(())
    }
}

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
    /// Creates a net from its tensors.
    ///
    /// # Errors
    /// [`Error::Spec`] if the network is invalid; [`Error::Mismatch`] if a tensor does not fit it.
    pub fn new(spec: NetSpec, parts: Parts, origin: Origin) -> Result<Self> {
        let graph = spec.resolve()?;
        parts.check(&spec, &graph)?;
        Ok(Self::assemble(spec, graph, parts, origin))
    }

    /// Creates a net from a resolved network and matching tensors.
    pub(crate) fn assemble(spec: NetSpec, graph: Graph, parts: Parts, origin: Origin) -> Self {
        let Parts {
            layers,
            selections,
            scales,
            mean,
            std,
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

    /// Returns the network.
    pub fn spec(&self) -> &NetSpec {
        &self.spec
    }

    /// Returns the resolved network.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the tensors of a node.
    pub fn own(&self, id: NodeId) -> Own<'_> {
        match self.graph.node(id).owns {
            Owns::Nothing => Own::Nothing,
            Owns::Weight(weight) => Own::Weight(&self.layers[weight]),
            Owns::Index(index) => Own::Index(&self.selections[index].index),
            Owns::Scale(scale) => Own::Scale(&self.scales[scale]),
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
        Ok(net)
    }

    /// `W ((p scale - mean) / std) + b = W (p scale / std) + (b - W (mean / std))`: moves the mean
    /// into the biases of the linear layers that read the input, computed in f64. The mean stays if
    /// the normalised input is also the target.
    #[expect(clippy::cast_possible_truncation, reason = "biases are f32")]
    fn fold_mean(&mut self) {
        let zero = Statistic::Number(0.0);
        let is_target = self.spec.target == Some(Target::Input);
        if is_target || !self.graph.starts_linear() || self.spec.normalize.mean == zero {
            return;
        }
        let (mean, std) = (self.mean_values(), self.std_values());
        for reader in self.graph.readers(NodeId::INPUT) {
            let Owns::Weight(weight) = self.graph.node(reader).owns else {
                continue;
            };
            let inputs = self.inputs_behind(self.graph.node(reader).inputs[0]);
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
        self.spec.normalize.mean = zero;
        self.mean = None;
    }

    /// Returns which input value each column of a linear layer reads, if the layer reads `node`, a
    /// flattening or selection of the input.
    fn inputs_behind(&self, node: NodeId) -> Selected {
        let mut way = Vec::new();
        let mut at = node;
        while let [before] = self.graph.node(at).inputs[..] {
            way.push(at);
            at = before;
        }
        let area = self.graph.node(at).shape.area();
        let mut selected = Selected::default();
        for &node in way.iter().rev() {
            match (self.graph.node(node).units, self.own(node)) {
                (Some(Units::Flatten), _) => selected.flatten(area),
                (_, Own::Index(index)) => selected.select(index),
                _ => {}
            }
        }
        selected.flatten(area);
        selected
    }
}

/// Returns [`Error::Mismatch`] if the number of values is wrong.
fn count(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::mismatch(name, &[found], &[expected]))
}
