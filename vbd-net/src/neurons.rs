//! A smaller net: units that nothing needs go, with their rows and columns of both weights.
//!
//! A unit whose incoming weights are all gone is a constant, which folds into the biases behind it; one
//! that nobody reads takes everything with it that only it reads. What is left is an ordinary network
//! with smaller layers, and a selection where it reads only some of its inputs or of the values of an
//! image that is flattened. Every layer keeps a unit at least, if one without weights, so that a net of
//! which nothing is left is one of constant logits.

use std::collections::HashSet;

use crate::matrix::SparseMatrix;
use crate::spec::{LayerSpec, NetSpec};

use crate::chain::{Chain, Op, Step};
use crate::error::Result;
use crate::net::{PrunedLayer, PrunedNet, Selection};
use crate::selected::Selected;

impl PrunedNet {
    /// The smaller net, with the same logits to rounding.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) if a weight behind a selection had more columns than can
    /// be counted; else none of a net that was read or made by this crate.
    pub fn smaller(&self) -> Result<Self> {
        let chain = Chain::smaller(self)?;
        let mut smaller = Smaller {
            net: self,
            layers: Vec::new(),
            weights: Vec::new(),
            selections: Vec::new(),
        };
        // A net that starts linear is read value by value, any other by features or channels.
        let whole = match chain.steps.first() {
            Some(first) if first.op == Op::Linear => self.spec.input_len(),
            _ => self.spec.input[0],
        };
        let mut steps = chain.steps.into_iter().filter(|step| step.layer.is_some());
        let mut inputs = Some(chain.inputs);
        for layer in &self.spec.layers {
            match layer {
                // What was selected before is part of the weights that read it.
                LayerSpec::Select { .. } => {}
                LayerSpec::Linear { .. } | LayerSpec::Conv2d { .. } => {
                    // Every such layer has a step.
                    if let Some(step) = steps.next() {
                        smaller.weight(layer, step, (inputs.take(), whole));
                    }
                }
                layer => smaller.layers.push(layer.clone()),
            }
        }
        let Smaller {
            layers,
            weights,
            selections,
            ..
        } = smaller;
        Ok(Self {
            spec: NetSpec {
                layers,
                ..self.spec.clone()
            },
            layers: weights,
            selections,
            before: Some(self.before().clone()),
            ..self.clone()
        })
    }
}

/// A net that is being put together.
struct Smaller<'a> {
    net: &'a PrunedNet,
    layers: Vec<LayerSpec>,
    weights: Vec<PrunedLayer>,
    selections: Vec<Selection>,
}

impl Smaller<'_> {
    /// Adds a layer with its weight; `inputs` are those of the net's own units that it reads, of the
    /// first layer, and `whole` is how many there are.
    fn weight(
        &mut self,
        layer: &LayerSpec,
        step: Step,
        (inputs, whole): (Option<Vec<u32>>, usize),
    ) {
        let own = &self.net.layers[step.layer.expect("the step of a layer with a weight")];
        let mut weight = step.weight;
        let area = step.input.area();
        if step.op == Op::Linear {
            let cols = u32::try_from(weight.cols()).expect("a weight has at most 2^28 entries");
            let columns = if area == 1 {
                (0..cols).collect()
            } else {
                let columns = columns_read(&weight);
                let place = |col: u32| columns.partition_point(|&other| other < col);
                weight = weight.with_columns(columns.len(), place);
                columns
            };
            // Units that come in may have been renumbered; those of the net's input were not.
            let (index, all) = match &inputs {
                Some(inputs) => (values_of(&columns, inputs, area), whole * area),
                None => (columns, cols as usize),
            };
            self.select(&own.name, step.op, index, all);
        } else if let Some(inputs) = inputs {
            self.select(&own.name, step.op, inputs, whole);
        }
        let rows = weight.rows();
        let shape = match step.op {
            Op::Conv { kernel, .. } => vec![rows, step.input.units, kernel, kernel],
            _ => vec![rows, weight.cols()],
        };
        self.layers.push(match layer.clone() {
            LayerSpec::Conv2d {
                name,
                kernel,
                stride,
                padding,
                ..
            } => LayerSpec::Conv2d {
                name,
                out_channels: rows,
                kernel,
                stride,
                padding,
            },
            _ => LayerSpec::Linear {
                name: own.name.clone(),
                out_features: rows,
            },
        });
        self.weights.push(PrunedLayer {
            shape,
            weight,
            bias: step.bias,
            ..own.clone()
        });
    }

    /// Adds a selection in front of the layer `reader`, if it leaves anything out.
    fn select(&mut self, reader: &str, op: Op, index: Vec<u32>, all: usize) {
        if index.len() == all {
            return;
        }
        let is_image = self.net.spec.input.len() > 1;
        let is_flat = self.layers.last() == Some(&LayerSpec::Flatten {});
        if op == Op::Linear && is_image && !is_flat {
            self.layers.push(LayerSpec::Flatten {});
        }
        let layers = self.net.layers.iter().map(|layer| layer.name.as_str());
        let before = self.selections.iter().map(|selection| &selection.name[..]);
        let taken: HashSet<&str> = layers.chain(before).collect();
        let mut name: String = reader.chars().take(50).chain("_inputs".chars()).collect();
        while taken.contains(name.as_str()) {
            name.push('_');
        }
        self.layers.push(LayerSpec::Select {
            name: name.clone(),
            units: index.len(),
        });
        self.selections.push(Selection { name, index });
    }
}

/// The columns that have an entry; the first of a weight that has none.
fn columns_read(weight: &SparseMatrix) -> Vec<u32> {
    let mut columns = weight.col_idx().to_vec();
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() {
        columns.push(0);
    }
    columns
}

/// Which values of all units, of `area` values each, the columns of some of the units are.
fn values_of(columns: &[u32], units: &[u32], area: usize) -> Vec<u32> {
    let mut selected = Selected::default();
    selected.select(units);
    selected.flatten(area);
    selected.select(columns);
    selected.into_index()
}
