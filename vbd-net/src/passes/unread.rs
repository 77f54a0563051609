//! Units that nobody reads disappear, with all that only they read.

use std::collections::BTreeSet;

use super::constants::unit_of;
use super::{Extent, Program, Step, Value};
use crate::matrix::SparseMatrix;

/// Which units of each value are read.
struct Reads {
    values: Vec<BTreeSet<u32>>,
    /// Values that nobody reads, of which some units stay for a layer to have any.
    idle: Vec<bool>,
}

impl Program {
    /// Drops the units that nobody reads, but for `least` of a layer, and the steps that give nothing else, and
    /// numbers those that are left anew.
    pub(super) fn drop_unread(&mut self, least: u32) {
        let reads = self.reads(least);
        let kept = reads
            .values
            .into_iter()
            .map(|read| read.into_iter().collect());
        let kept: Vec<Vec<u32>> = kept.collect();
        let mut numbers: Vec<Option<Value>> = vec![(!kept[0].is_empty()).then_some(0)];
        let mut left: Vec<Step> = Vec::with_capacity(self.steps.len());
        for (step, output) in std::mem::take(&mut self.steps).into_iter().zip(1..) {
            if kept[output].is_empty() {
                numbers.push(None);
                continue;
            }
            let inputs = &kept[step.inputs[0]];
            let step = step.keep(inputs, &kept[output], reads.idle[output]);
            left.push(Step {
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
        self.inputs = kept.into_iter().next().unwrap_or_default();
        self.input.units = self.inputs.len();
    }

    /// Reading goes from the output back; where units are tied it goes both ways, until nothing is added.
    fn reads(&self, least: u32) -> Reads {
        let mut reads = Reads {
            values: vec![BTreeSet::new(); self.steps.len() + 1],
            idle: vec![false; self.steps.len() + 1],
        };
        // All outputs are read.
        let last = self.steps.len();
        reads.values[last].extend((0..).take(self.extent(last).units));
        while self.read_once(&mut reads) {}
        if least > 0 {
            for (read, idle) in reads.values.iter_mut().zip(&mut reads.idle) {
                *idle = read.is_empty();
                if *idle {
                    read.extend(0..least);
                }
            }
            while self.read_once(&mut reads) {}
        }
        reads
    }

    /// Adds what is read by what is read; whether there was any.
    fn read_once(&self, reads: &mut Reads) -> bool {
        let all = |reads: &Reads| reads.values.iter().map(BTreeSet::len).sum::<usize>();
        let before = all(reads);
        for (index, step) in self.steps.iter().enumerate().rev() {
            let output = index + 1;
            if step.ties {
                for &input in &step.inputs {
                    let both = &reads.values[input] | &reads.values[output];
                    reads.values[input].clone_from(&both);
                    reads.values[output] = both;
                }
            } else if !reads.idle[output] {
                let rows = reads.values[output].iter();
                let columns = rows.flat_map(|&row| step.weight.row(row as usize).0);
                let units = columns.map(|&col| unit_of(col, step.per_unit()));
                let units: Vec<u32> = units.collect();
                reads.values[step.inputs[0]].extend(units);
            }
        }
        all(reads) > before
    }
}

impl Step {
    /// The step between fewer units; without weights and biases if it is idle.
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
                    weight.push(col.expect("no column is above what it was"), value);
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
