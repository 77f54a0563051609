//! Shrinks a net: removes dead units with their rows and columns.
//!
//! A unit whose incoming weights are all pruned is a constant, which folds into the biases of its
//! consumers. A unit without consumers is removed with everything that only it reads. The result is
//! an ordinary network with smaller layers, and with selections where it reads only some inputs or
//! some values of a flattened image. Every layer keeps at least one unit, possibly without weights,
//! so a net with nothing left has constant logits.

use crate::error::Result;
use crate::graph::{NodeId, Rewiring, Shape, Source, TensorSlot};
use crate::matrix::SparseMatrix;
use crate::net::{NetTensors, Origin, PrunedLayer, PrunedNet, Selection, UnitScale};
use crate::ops::{Flatten, Select, Units};
use crate::passes::{Computation, Op, Program};
use crate::spec::{LayerSpec, NetSpec};

impl PrunedNet {
    /// Returns the shrunk net. Its logits are equal up to rounding.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) if a weight after a selection has too many
    /// columns; none else for a net created by this crate.
    pub fn shrunk(&self) -> Result<Self> {
        let shrunk = ShrunkNet {
            net: self,
            program: Program::shrunk(self)?,
            layers: Rewiring::new(&self.spec),
            parts: NetTensors {
                mean: self.mean.clone(),
                std: self.std.clone(),
                ..NetTensors::default()
            },
            sources: Vec::new(),
        };
        let (layers, parts) = shrunk.finish();
        let spec = NetSpec {
            layers,
            ..self.spec.clone()
        };
        let origin = Origin {
            method: self.method.clone(),
            threshold: self.threshold,
            provenance: self.provenance.clone(),
        };
        Ok(Self {
            before: Some(self.original().clone()),
            ..Self::new(spec, parts, origin)?
        })
    }
}

/// A shrunk net under construction.
struct ShrunkNet<'a> {
    net: &'a PrunedNet,
    program: Program,
    layers: Rewiring,
    parts: NetTensors,
    /// Source of each node's values.
    sources: Vec<Source>,
}

impl ShrunkNet<'_> {
    fn finish(mut self) -> (Vec<LayerSpec>, NetTensors) {
        let graph = self.net.graph();
        for (id, node) in graph.nodes() {
            let Some(layer) = graph.layer(id, self.net.spec()) else {
                let source = self.input();
                self.sources.push(source);
                continue;
            };
            let step = self
                .program
                .steps
                .iter()
                .find(|step| step.slot == node.slot);
            let step = step.filter(|_| node.slot != TensorSlot::Nothing).cloned();
            let reads = node.inputs.iter().map(|input| self.sources[input.index()]);
            let mut reads: Vec<Source> = reads.collect();
            let mut layer = layer.clone();
            match (node.slot, step) {
                (TensorSlot::Weight(weight), Some(step)) => {
                    let own = &self.net.layers()[weight];
                    let groups = step.groups;
                    reads = vec![self.weight(own, step, node.inputs[0])];
                    layer.kind_mut().set_groups(groups);
                    let own = &self.parts.layers[weight];
                    layer.kind_mut().set_units(own.weight.rows());
                    if own.bias.iter().any(|&bias| bias != 0.0) {
                        layer.kind_mut().add_bias();
                    }
                }
                (TensorSlot::Index(selection), Some(step)) => {
                    let index = picked(&step);
                    if index.len() == step.weight.cols() {
                        self.sources.push(reads[0]);
                        continue;
                    }
                    let name = &self.net.selections()[selection].name;
                    let name = self.layers.free_name(name);
                    layer.kind_mut().set_name(name.clone());
                    layer.kind_mut().set_units(index.len());
                    self.parts.selections.push(Selection { name, index });
                }
                // A selection is part of the columns of the weights that read it.
                (TensorSlot::Index(_), None) => {
                    self.sources.push(reads[0]);
                    continue;
                }
                (TensorSlot::Scale(scale), Some(step)) => {
                    let name = self.net.scales()[scale].name.clone();
                    let factor = |row| step.weight.row(row).1.first().copied().unwrap_or(0.0);
                    self.parts.scales.push(UnitScale {
                        name,
                        weight: (0..step.weight.rows()).map(factor).collect(),
                        bias: step.bias,
                    });
                }
                _ => {}
            }
            let mut source = self.layers.push(layer, reads);
            let copy = self
                .program
                .steps
                .iter()
                .find(|step| step.copies == Some(id));
            if let Some(copy) = copy.filter(|_| node.units == Some(Units::Flatten)).cloned() {
                let (index, all) = (picked(&copy), copy.input.units * copy.input.area());
                if index.len() < all {
                    source = self.select(&self.net.layers()[0].name.clone(), source, index);
                }
            }
            self.sources.push(source);
        }
        (self.layers.finish(), self.parts)
    }

    /// Handles the network's input. Unless it is read value by value, adds a selection that drops
    /// unread units.
    fn input(&mut self) -> Source {
        let all = self.net.graph().node(NodeId::INPUT).shape.units();
        if self.net.graph().starts_linear() || self.program.inputs.len() == all {
            return Source::Input;
        }
        let reader = self.net.layers()[0].name.clone();
        let index = self.program.inputs.clone();
        self.select(&reader, Source::Input, index)
    }

    /// Adds a layer's weight. Returns its source.
    fn weight(&mut self, own: &PrunedLayer, step: Computation, input: NodeId) -> Source {
        let mut weight = step.weight;
        let mut source = self.sources[input.index()];
        let area = step.input.area();
        let shape = if let Op::Conv { window, .. } = step.op {
            let [rows, columns] = window.kernel;
            let inputs = step.input.units / step.groups;
            let cols = inputs * window.area();
            let outputs = weight.rows() / step.groups;
            // The columns of a row's own group.
            let column = |row: usize, col: u32| col as usize - row / outputs * cols;
            weight = weight.with_columns(cols, column);
            vec![weight.rows(), inputs, rows, columns]
        } else {
            let index = if step.inputs == [0] && self.net.graph().starts_linear() {
                let all = self.net.spec().input_len();
                let inputs = &self.program.inputs;
                (inputs.len() < all).then(|| inputs.clone())
            } else if area > 1 {
                let columns = columns_read(&weight);
                let place = |_: usize, col: u32| columns.partition_point(|&other| other < col);
                let all = weight.cols();
                weight = weight.with_columns(columns.len(), place);
                (columns.len() < all).then_some(columns)
            } else {
                None
            };
            if let Some(index) = index {
                if let Shape::Image { .. } = self.net.graph().node(input).shape {
                    let flatten = LayerSpec::Flatten(Flatten::default());
                    source = self.layers.push(flatten, vec![source]);
                }
                source = self.select(&own.name, source, index);
            }
            vec![weight.rows(), weight.cols()]
        };
        self.parts.layers.push(PrunedLayer {
            shape,
            weight,
            bias: step.bias,
            ..own.clone()
        });
        source
    }

    /// Adds a selection before the layer `reader`.
    fn select(&mut self, reader: &str, source: Source, index: Vec<u32>) -> Source {
        let stem: String = reader.chars().take(50).chain("_inputs".chars()).collect();
        let name = self.layers.free_name(&stem);
        let select = Select {
            name: name.clone(),
            input: None,
            units: index.len(),
        };
        self.parts.selections.push(Selection { name, index });
        self.layers.push(LayerSpec::Select(select), vec![source])
    }
}

/// Returns the columns with entries; the first column of a weight without any.
fn columns_read(weight: &SparseMatrix) -> Vec<u32> {
    let mut columns = weight.col_idx().to_vec();
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() {
        columns.push(0);
    }
    columns
}

/// Returns the input units, or values of a flattened input, that a selection keeps.
fn picked(step: &Computation) -> Vec<u32> {
    // A copy has an entry in every row.
    let rows = 0..step.weight.rows();
    rows.filter_map(|row| step.weight.row(row).0.first().copied())
        .collect()
}
