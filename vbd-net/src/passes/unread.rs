//! Drops units without consumers, with everything that only they read.

use std::collections::BTreeSet;

use super::constants::unit_of;
use super::{Computation, Extent, Program, Value};
use crate::matrix::SparseMatrix;

/// The units of each value that are read. Tied values share one set.
struct Reads {
    /// Class of each value, named by its smallest value.
    class: Vec<Value>,
    /// Units read of each class.
    units: Vec<BTreeSet<u32>>,
    /// Unread classes that keep some units so that the layer is not empty.
    idle: Vec<bool>,
    /// Number of output units that were read when a step's inputs were last updated.
    propagated: Vec<usize>,
}

impl Reads {
    fn of(&self, value: Value) -> &BTreeSet<u32> {
        &self.units[self.class[value]]
    }
}

impl Program {
    /// Drops unread units, except `least` per layer, and steps without outputs, and renumbers the
    /// rest.
    pub(super) fn drop_unread(&mut self, least: u32) {
        let reads = self.reads(least);
        let kept = |value: Value| -> Vec<u32> { reads.of(value).iter().copied().collect() };
        let inputs = kept(0);
        let mut numbers: Vec<Option<Value>> = vec![(!inputs.is_empty()).then_some(0)];
        let mut left: Vec<Computation> = Vec::with_capacity(self.steps.len());
        for (step, output) in std::mem::take(&mut self.steps).into_iter().zip(1..) {
            if reads.of(output).is_empty() {
                numbers.push(None);
                continue;
            }
            let (from, to) = (kept(step.inputs[0]), kept(output));
            let step = step.keep(&from, &to, reads.idle[reads.class[output]]);
            left.push(Computation {
                inputs: step
                    .inputs
                    .iter()
                    .filter_map(|&input| numbers[input])
                    .collect(),
                ..step
            });
            numbers.push(Some(left.len()));
        }
        self.steps = left;
        self.input.units = inputs.len();
        self.inputs = inputs;
    }

    /// Propagates reads from the output backwards until nothing changes.
    fn reads(&self, least: u32) -> Reads {
        let class = self.classes();
        let mut reads = Reads {
            units: vec![BTreeSet::new(); class.len()],
            idle: vec![false; class.len()],
            propagated: vec![0; self.steps.len()],
            class,
        };
        // All outputs are read.
        let last = self.steps.len();
        let all = (0..).take(self.extent(last).units);
        reads.units[reads.class[last]].extend(all);
        while self.read_once(&mut reads) {}
        if least > 0 {
            for value in 0..=last {
                let class = reads.class[value];
                if reads.units[class].is_empty() {
                    reads.idle[class] = true;
                    reads.units[class].extend(0..least);
                }
            }
            while self.read_once(&mut reads) {}
        }
        reads
    }

    /// Returns the class of each value. Tied values share a class.
    fn classes(&self) -> Vec<Value> {
        fn root(class: &[Value], mut value: Value) -> Value {
            while class[value] != value {
                value = class[value];
            }
            value
        }
        let mut class: Vec<Value> = (0..=self.steps.len()).collect();
        for (index, step) in self.steps.iter().enumerate().filter(|(_, step)| step.ties) {
            for &input in &step.inputs {
                let (one, other) = (root(&class, input), root(&class, index + 1));
                class[one.max(other)] = one.min(other);
                // Shorten the path for later searches.
                class[index + 1] = one.min(other);
                class[input] = one.min(other);
            }
        }
        (0..class.len()).map(|value| root(&class, value)).collect()
    }

    /// Propagates reads once. Returns whether anything changed.
    fn read_once(&self, reads: &mut Reads) -> bool {
        let mut is_new = false;
        for (index, step) in self.steps.iter().enumerate().rev() {
            let output = reads.class[index + 1];
            let known = reads.units[output].len();
            if step.ties || reads.idle[output] || reads.propagated[index] == known {
                continue;
            }
            reads.propagated[index] = known;
            let rows = reads.units[output].iter();
            let columns = rows.flat_map(|&row| step.weight.row(row as usize).0);
            let units = columns.map(|&col| unit_of(col, step.per_unit()));
            let units: Vec<u32> = units.collect();
            let read = &mut reads.units[reads.class[step.inputs[0]]];
            let before = read.len();
            read.extend(units);
            is_new |= read.len() > before;
        }
        is_new
    }
}

impl Computation {
    /// Returns the step restricted to these units; without weights and biases if it is idle.
    fn keep(self, inputs: &[u32], outputs: &[u32], is_idle: bool) -> Self {
        let (mut weight, mut bias) = (SparseMatrix::default(), Vec::new());
        if self.op.is_weighted() {
            let per_unit = self.per_unit();
            let cols = inputs.len() * per_unit;
            weight = SparseMatrix::with_capacity(outputs.len(), cols, self.weight.nnz());
            for &row in outputs {
                let (columns, values) = self.weight.row(row as usize);
                for (&col, &value) in columns.iter().zip(values).filter(|_| !is_idle) {
                    let unit = unit_of(col, per_unit);
                    let unit = inputs.partition_point(|&input| input < unit);
                    let col = u32::try_from(unit * per_unit + col as usize % per_unit);
                    weight.push(col.expect("columns only become smaller"), value);
                }
                weight.end_row();
                bias.push(if is_idle {
                    0.0
                } else {
                    self.bias[row as usize]
                });
            }
        }
        Self {
            input: Extent {
                units: inputs.len(),
                ..self.input
            },
            output: Extent {
                units: outputs.len(),
                ..self.output
            },
            weight,
            bias,
            ..self
        }
    }
}
