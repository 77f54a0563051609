//! A pruned net in memory: the network, and of each weight the entries that are left.

use crate::data::Values;
use crate::graph::{Graph, NodeId, Owns};
use crate::matrix::SparseMatrix;
use crate::ops::{Own, Units};
use crate::spec::{LayerKind, NetSpec, Statistic, Target, normalized};

use crate::error::{Error, Result};
use crate::format::{Method, Provenance, ValueType};
use crate::passes::Selected;
use crate::statistic::PerInput;

/// One layer's weight and bias.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedLayer {
    /// Name of the layer.
    pub name: String,
    /// Its kind.
    pub kind: LayerKind,
    /// Shape of the weight, `[out, in]` or `[out, in, kernel, kernel]`.
    pub shape: Vec<usize>,
    /// What is left of the weight, one row an output.
    pub weight: SparseMatrix,
    /// The bias, `[out]`.
    pub bias: Vec<f32>,
}

impl PrunedLayer {
    /// Name of the weight's tensor, before the suffixes of its layout.
    pub fn weight_name(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Name of the bias's tensor.
    pub fn bias_name(&self) -> String {
        format!("{}.bias", self.name)
    }
}

/// The units that a selection of the network keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Name of the layer.
    pub name: String,
    /// Which of its input's features or channels, rising.
    pub index: Vec<u32>,
}

impl Selection {
    /// Name of the index's tensor.
    pub fn index_name(&self) -> String {
        format!("{}.index", self.name)
    }
}

/// A factor and a shift for each unit.
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
    /// Names of the factors' and the shifts' tensors.
    pub fn names(&self) -> [String; 2] {
        ["weight", "bias"].map(|what| format!("{}.{what}", self.name))
    }
}

/// The tensors of a net.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parts {
    /// One for each of the network's weights, in order.
    pub layers: Vec<PrunedLayer>,
    /// One for each of its selections, in order.
    pub selections: Vec<Selection>,
    /// One for each of its scales, in order.
    pub scales: Vec<UnitScale>,
    /// The mean image, `[input_len]`, where the rule asks for one.
    pub mean: Option<Vec<f32>>,
    /// Standard deviations, `[input_len]`, where the rule asks for them.
    pub std: Option<Vec<f32>>,
}

impl Parts {
    /// [`Error::Mismatch`] naming the tensor that is not the network's.
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

/// How the weights of a net came to be, as far as it is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The method that they were trained by.
    pub method: Option<Method>,
    /// The threshold of `log_alpha` that they were kept at; `None` where the zeros were there.
    pub threshold: Option<f32>,
    /// Where the net comes from.
    pub provenance: Provenance,
}

/// A network of which only the kept weights are there.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedNet {
    pub(crate) spec: NetSpec,
    pub(crate) graph: Graph,
    pub(crate) method: Option<Method>,
    pub(crate) threshold: Option<f32>,
    pub(crate) provenance: Provenance,
    pub(crate) layers: Vec<PrunedLayer>,
    /// What the network's selections keep, in order.
    pub(crate) selections: Vec<Selection>,
    /// What the network's scales multiply and add, in order.
    pub(crate) scales: Vec<UnitScale>,
    /// The network that this one was made smaller from.
    pub(crate) before: Option<NetSpec>,
    /// The mean image, `[input_len]`, where the rule asks for one.
    pub(crate) mean: Option<Vec<f32>>,
    /// Standard deviations, `[input_len]`, where the rule asks for them.
    pub(crate) std: Option<Vec<f32>>,
}

impl PrunedNet {
    /// A net of its tensors.
    ///
    /// # Errors
    /// [`Error::Spec`] if the network's layers do not fit together; [`Error::Mismatch`] naming the tensor
    /// that is not the network's.
    pub fn new(spec: NetSpec, parts: Parts, origin: Origin) -> Result<Self> {
        let graph = spec.resolve()?;
        parts.check(&spec, &graph)?;
        Ok(Self::assemble(spec, graph, parts, origin))
    }

    /// A net of a network that is resolved, and of tensors that are known to be its own.
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

    /// The network.
    pub fn spec(&self) -> &NetSpec {
        &self.spec
    }

    /// The network, resolved.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The tensors of a node.
    pub fn own(&self, id: NodeId) -> Own<'_> {
        match self.graph.node(id).owns {
            Owns::Nothing => Own::Nothing,
            Owns::Weight(weight) => Own::Weight(&self.layers[weight]),
            Owns::Index(index) => Own::Index(&self.selections[index].index),
            Owns::Scale(scale) => Own::Scale(&self.scales[scale]),
        }
    }

    /// The method that the weights were trained by, where it is known.
    pub fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// The threshold of `log_alpha` that the weights were kept at; `None` where the zeros were there.
    pub fn threshold(&self) -> Option<f32> {
        self.threshold
    }

    /// Where the net comes from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The layers that have weights, in order.
    pub fn layers(&self) -> &[PrunedLayer] {
        &self.layers
    }

    /// What the network's selections keep, in order.
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// What the network's scales multiply and add, in order.
    pub fn scales(&self) -> &[UnitScale] {
        &self.scales
    }

    /// The network that this one was made smaller from, or this one.
    pub fn before(&self) -> &NetSpec {
        self.before.as_ref().unwrap_or(&self.spec)
    }

    /// Whether it was made smaller: whether units are gone, not only weights.
    pub fn is_smaller(&self) -> bool {
        self.before.is_some()
    }

    /// Factor on a pixel.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub fn scale(&self) -> f32 {
        self.spec.normalize.scale as f32
    }

    /// What is taken away from each scaled pixel.
    pub fn mean_values(&self) -> PerInput {
        PerInput::new(&self.spec.normalize.mean, self.mean.as_ref(), &self.spec)
    }

    /// What each difference is divided by.
    pub fn std_values(&self) -> PerInput {
        PerInput::new(&self.spec.normalize.std, self.std.as_ref(), &self.spec)
    }

    /// Whole samples, normalised: what the layers see, and what an autoencoder is to give back.
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

    /// The measured images with their tensors' names.
    pub fn images(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        let images = [("normalize.mean", &self.mean), ("normalize.std", &self.std)];
        images
            .into_iter()
            .filter_map(|(name, image)| Some((name, image.as_deref()?)))
    }

    /// The same net with values of type `values` and, if it starts with a linear layer, the mean
    /// folded into that layer's bias. The weights are rounded first, then folded as they are.
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

    /// `W ((p scale - mean) / std) + b = W (p scale / std) + (b - W (mean / std))`: the mean goes into the
    /// biases of the linear layers that read the input, worked out in f64. Where the normalised input is the target
    /// too, it stays.
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

    /// Which input value each column of a linear layer reads that reads `node`, a flattening or selection of the
    /// input.
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

/// [`Error::Mismatch`] if there are not as many values as there must be.
fn count(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::mismatch(name, &[found], &[expected]))
}
