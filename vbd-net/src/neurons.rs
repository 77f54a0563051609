//! A smaller net: units that nothing needs go, with their rows and columns of both weights.
//!
//! A unit whose incoming weights are all gone is a constant, which folds into the biases behind it; one
//! that nobody reads takes everything with it that only it reads. What is left is an ordinary network
//! with smaller layers, and a selection where it reads only some of its inputs or of the values of an
//! image that is flattened. Every layer keeps a unit at least, if one without weights, so that a net of
//! which nothing is left is one of constant logits.

use crate::error::Result;
use crate::graph::{NodeId, Owns, Rewired, Shape, Source};
use crate::matrix::SparseMatrix;
use crate::net::{Origin, Parts, PrunedLayer, PrunedNet, Selection, UnitScale};
use crate::ops::{Flatten, Select, Units};
use crate::passes::{Op, Program, Step};
use crate::spec::{LayerSpec, NetSpec};

impl PrunedNet {
    /// The smaller net, with the same logits to rounding.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) if a weight behind a selection had more columns than can
    /// be counted; else none of a net that was read or made by this crate.
    pub fn smaller(&self) -> Result<Self> {
        let smaller = Smaller {
            net: self,
            program: Program::smaller(self)?,
            layers: Rewired::new(&self.spec),
            parts: Parts {
                mean: self.mean.clone(),
                std: self.std.clone(),
                ..Parts::default()
            },
            sources: Vec::new(),
        };
        let (layers, parts) = smaller.finish();
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
            before: Some(self.before().clone()),
            ..Self::new(spec, parts, origin)?
        })
    }
}

/// A net that is being put together.
struct Smaller<'a> {
    net: &'a PrunedNet,
    program: Program,
    layers: Rewired,
    parts: Parts,
    /// Where those find a node's values that read it.
    sources: Vec<Source>,
}

impl Smaller<'_> {
    fn finish(mut self) -> (Vec<LayerSpec>, Parts) {
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
                .find(|step| step.owns == node.owns);
            let step = step.filter(|_| node.owns != Owns::Nothing).cloned();
            let reads = node.inputs.iter().map(|input| self.sources[input.index()]);
            let mut reads: Vec<Source> = reads.collect();
            let mut layer = layer.clone();
            match (node.owns, step) {
                (Owns::Weight(weight), Some(step)) => {
                    let own = &self.net.layers()[weight];
                    reads = vec![self.weight(own, step, node.inputs[0])];
                    layer
                        .kind_mut()
                        .set_units(self.parts.layers[weight].weight.rows());
                }
                (Owns::Index(selection), Some(step)) => {
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
                // What was selected is part of the weights that read it.
                (Owns::Index(_), None) => {
                    self.sources.push(reads[0]);
                    continue;
                }
                (Owns::Scale(scale), Some(step)) => {
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

    /// The network's input. Where it is not read value by value, a selection leaves out the units that nobody
    /// reads.
    fn input(&mut self) -> Source {
        let all = self.net.graph().node(NodeId::INPUT).shape.units();
        if self.net.graph().starts_linear() || self.program.inputs.len() == all {
            return Source::Input;
        }
        let reader = self.net.layers()[0].name.clone();
        let index = self.program.inputs.clone();
        self.select(&reader, Source::Input, index)
    }

    /// Takes a layer's weight over; what the layer reads then.
    fn weight(&mut self, own: &PrunedLayer, step: Step, input: NodeId) -> Source {
        let mut weight = step.weight;
        let mut source = self.sources[input.index()];
        let area = step.input.area();
        let shape = if let Op::Conv { kernel, .. } = step.op {
            vec![weight.rows(), step.input.units, kernel, kernel]
        } else {
            let index = if step.inputs == [0] && self.net.graph().starts_linear() {
                let all = self.net.spec().input_len();
                let inputs = &self.program.inputs;
                (inputs.len() < all).then(|| inputs.clone())
            } else if area > 1 {
                let columns = columns_read(&weight);
                let place = |col: u32| columns.partition_point(|&other| other < col);
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

    /// Adds a selection in front of the layer `reader`.
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

/// Which of its input's units, or values where these are flattened, a selection keeps.
fn picked(step: &Step) -> Vec<u32> {
    let rows = (0..).take(step.weight.rows());
    // Without an entry the row is an idle one, the first.
    let unit = |row: u32| {
        step.weight
            .row(row as usize)
            .0
            .first()
            .copied()
            .unwrap_or(row)
    };
    rows.map(unit).collect()
}
