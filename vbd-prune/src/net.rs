//! A pruned net in memory: the network, and of each weight the entries that are left.

use vbd_core::spec::{LayerKind, LayerSpec, NetSpec, Statistic};
use vbd_net::SparseMatrix;

use crate::error::Result;
use crate::format::{Method, Provenance, ValueType};
use crate::selected::Selected;
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

/// A network of which only the kept weights are there.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunedNet {
    pub(crate) spec: NetSpec,
    pub(crate) method: Option<Method>,
    pub(crate) threshold: Option<f32>,
    pub(crate) provenance: Provenance,
    pub(crate) layers: Vec<PrunedLayer>,
    /// What the network's selections keep, in order.
    pub(crate) selections: Vec<Selection>,
    /// The network that this one was made smaller from.
    pub(crate) before: Option<NetSpec>,
    /// The mean image, `[input_len]`, where the rule asks for one.
    pub(crate) mean: Option<Vec<f32>>,
    /// Standard deviations, `[input_len]`, where the rule asks for them.
    pub(crate) std: Option<Vec<f32>>,
}

impl PrunedNet {
    /// The network.
    pub fn spec(&self) -> &NetSpec {
        &self.spec
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

    /// The network that this one was made smaller from, or this one.
    pub fn before(&self) -> &NetSpec {
        self.before.as_ref().unwrap_or(&self.spec)
    }

    /// Factor on a pixel.
    #[expect(clippy::cast_possible_truncation, reason = "inputs are f32")]
    pub(crate) fn scale(&self) -> f32 {
        self.spec.normalize.scale as f32
    }

    pub(crate) fn mean_values(&self) -> PerInput {
        PerInput::new(&self.spec.normalize.mean, self.mean.as_ref(), &self.spec)
    }

    pub(crate) fn std_values(&self) -> PerInput {
        PerInput::new(&self.spec.normalize.std, self.std.as_ref(), &self.spec)
    }

    /// The measured images with their tensors' names.
    pub(crate) fn images(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
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
        for layer in &mut net.layers {
            let name = layer.bias_name();
            for bias in &mut layer.bias {
                *bias = values.round(*bias, &name)?;
            }
        }
        Ok(net)
    }

    /// `W ((p scale - mean) / std) + b = W (p scale / std) + (b - W (mean / std))`: the mean goes into
    /// the first bias, worked out in f64.
    #[expect(clippy::cast_possible_truncation, reason = "biases are f32")]
    fn fold_mean(&mut self) {
        let zero = Statistic::Number(0.0);
        if !self.spec.starts_linear() || self.spec.normalize.mean == zero {
            return;
        }
        let (mean, std) = (self.mean_values(), self.std_values());
        let inputs = self.linear_inputs();
        let Some(first) = self.layers.first_mut() else {
            return;
        };
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
        self.spec.normalize.mean = zero;
        self.mean = None;
    }

    /// Of a net that starts linear, which input value each column of the first weight reads.
    fn linear_inputs(&self) -> Selected {
        let mut selected = Selected::default();
        let mut selections = self.selections.iter();
        let area = self.spec.input[1..].iter().product();
        for layer in &self.spec.layers {
            match layer {
                LayerSpec::Select { .. } => {
                    let selection = selections.next().expect("a net has its selections");
                    selected.select(&selection.index);
                }
                LayerSpec::Flatten {} => selected.flatten(area),
                _ => break,
            }
        }
        selected.flatten(area);
        selected
    }
}
