//! Drops units without consumers, with everything that only they read.

use std::collections::BTreeSet;

use super::constants::unit_of;
use super::{Computation, Extent, Program, Value};
use crate::matrix::SparseMatrix;

/// The units of each value that are kept. Tied values share a class of units.
struct Reads {
    /// Class of each value, named by its smallest value.
    class: Vec<Value>,
    /// Units of each class that are read.
    units: Vec<BTreeSet<u32>>,
    /// Units of each class that nothing reads, kept so that a layer is not empty and groups are
    /// equal.
    dead: Vec<BTreeSet<u32>>,
    /// Number of output units that were read when a step's inputs were last updated.
    propagated: Vec<usize>,
}

impl Reads {
    fn read(&self, value: Value) -> &BTreeSet<u32> {
        &self.units[self.class[value]]
    }

    fn dead(&self, value: Value) -> &BTreeSet<u32> {
        &self.dead[self.class[value]]
    }

    fn keeps(&self, value: Value, unit: u32) -> bool {
        self.read(value).contains(&unit) || self.dead(value).contains(&unit)
    }

    /// Keeps a unit that nothing reads. Returns whether it was not kept before.
    fn keep_dead(&mut self, value: Value, unit: u32) -> bool {
        !self.keeps(value, unit) && self.dead[self.class[value]].insert(unit)
    }

    /// Returns all units that are kept, increasing.
    fn kept(&self, value: Value) -> Vec<u32> {
        self.read(value).union(self.dead(value)).copied().collect()
    }
}

impl Program {
    /// Drops unread units, except `least` per layer, and steps without outputs, and renumbers the
    /// rest.
    pub(super) fn drop_unread(&mut self, least: u32) {
        let reads = self.reads(least);
        let inputs = reads.kept(0);
        let mut numbers: Vec<Option<Value>> = vec![(!inputs.is_empty()).then_some(0)];
        let mut left: Vec<Computation> = Vec::with_capacity(self.steps.len());
        for (step, output) in std::mem::take(&mut self.steps).into_iter().zip(1..) {
            let to = reads.kept(output);
            if to.is_empty() {
                numbers.push(None);
                continue;
            }
            let from = reads.kept(step.inputs[0]);
            let step = step.keep(&from, &to, reads.dead(output));
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

    /// Propagates reads from the output backwards until nothing changes, then keeps what a shrunk
    /// net needs besides.
    fn reads(&self, least: u32) -> Reads {
        let class = self.classes();
        let mut reads = Reads {
            units: vec![BTreeSet::new(); class.len()],
            dead: vec![BTreeSet::new(); class.len()],
            propagated: vec![0; self.steps.len()],
            class,
        };
        // All outputs are read.
        let last = self.steps.len();
        let all = (0..).take(self.extent(last).units);
        reads.units[reads.class[last]].extend(all);
        while self.read_once(&mut reads) {}
        if least > 0 {
            while self.keep_once(&mut reads) {}
            // An empty layer's consumers first: they may keep some of its units.
            for value in (0..=last).rev() {
                let class = reads.class[value];
                if reads.units[class].is_empty() && reads.dead[class].is_empty() {
                    reads.dead[class].extend(0..least);
                    while self.keep_once(&mut reads) {}
                }
            }
        }
        reads
    }

    /// Keeps the inputs of kept copies, and units that make groups equal. Returns whether anything
    /// changed.
    fn keep_once(&self, reads: &mut Reads) -> bool {
        let mut is_new = false;
        // Chains of groups are followed in one pass, whichever end is kept.
        let forwards = 0..self.steps.len();
        for index in forwards.clone().rev().chain(forwards) {
            let (step, output) = (&self.steps[index], index + 1);
            if step.copies.is_some() {
                for row in reads.dead(output).clone() {
                    for &col in step.weight.row(row as usize).0 {
                        let unit = unit_of(col, step.per_unit());
                        is_new |= reads.keep_dead(step.inputs[0], unit);
                    }
                }
            } else if step.groups > 1 {
                is_new |= step.keep_groups(reads, output);
            }
        }
        is_new
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
            if step.ties || reads.propagated[index] == known {
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
    /// Keeps whole groups: none of those without kept outputs or inputs, and as many outputs and as
    /// many inputs of each other one. Returns whether anything changed.
    fn keep_groups(&self, reads: &mut Reads, output: Value) -> bool {
        let sides = [
            (self.inputs[0], self.input.units / self.groups),
            (output, self.output.units / self.groups),
        ];
        // The group of each kept unit, in order.
        let kept = sides.map(|(value, size)| {
            let units = reads.kept(value).into_iter();
            let groups: Vec<usize> = units.map(|unit| unit as usize / size.max(1)).collect();
            groups
        });
        let groups: BTreeSet<usize> = kept.iter().flatten().copied().collect();
        let mut is_new = false;
        for ((value, size), kept) in sides.into_iter().zip(kept) {
            let runs = kept.chunk_by(|one, other| one == other);
            let most = runs.map(<[usize]>::len).max().unwrap_or(0).max(1);
            for &group in &groups {
                let all = group * size..(group + 1) * size;
                let all = all.map(|unit| u32::try_from(unit).expect("a spec allows 2^24 units"));
                let (own, others): (Vec<u32>, Vec<u32>) =
                    all.partition(|&unit| reads.keeps(value, unit));
                for unit in others.into_iter().take(most.saturating_sub(own.len())) {
                    is_new |= reads.keep_dead(value, unit);
                }
            }
        }
        is_new
    }

    /// Returns the step restricted to these units. Rows of dead outputs have neither weights nor
    /// biases, except those of copies.
    fn keep(self, inputs: &[u32], outputs: &[u32], dead: &BTreeSet<u32>) -> Self {
        let (mut weight, mut bias) = (SparseMatrix::default(), Vec::new());
        if self.op.is_weighted() {
            let per_unit = self.per_unit();
            let cols = inputs.len() * per_unit;
            weight = SparseMatrix::with_capacity(outputs.len(), cols, self.weight.nnz());
            for &row in outputs {
                let is_dead = dead.contains(&row) && self.copies.is_none();
                let (columns, values) = self.weight.row(row as usize);
                for (&col, &value) in columns.iter().zip(values).filter(|_| !is_dead) {
                    let unit = unit_of(col, per_unit);
                    let unit = inputs.partition_point(|&input| input < unit);
                    let col = u32::try_from(unit * per_unit + col as usize % per_unit);
                    weight.push(col.expect("columns only become smaller"), value);
                }
                weight.end_row();
                bias.push(if is_dead {
                    0.0
                } else {
                    self.bias[row as usize]
                });
            }
        }
        // Groups have equally many inputs.
        let left = inputs.chunk_by(|&one, &other| {
            let size = self.input.units / self.groups;
            one as usize / size == other as usize / size
        });
        let groups = if self.groups > 1 { left.count() } else { 1 };
        Self {
            groups,
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
