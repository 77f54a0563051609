//! Copies values for consumers that need another padding, so that each value has one layout.

use std::sync::Arc;

use super::{Computation, Op, Program, Value};
use crate::ops::Copied;

impl Program {
    /// Adds copies of values that are read with several paddings.
    pub(super) fn copy_for_layouts(&mut self) {
        let mut numbers: Vec<Value> = vec![0];
        let old = std::mem::take(&mut self.steps);
        // Paddings that the consumers of each value need.
        let mut wanted: Vec<Vec<usize>> = vec![Vec::new(); old.len() + 1];
        for step in old.iter().filter(|step| step.op.is_weighted()) {
            for &input in &step.inputs {
                wanted[input].push(step.op.padding());
            }
        }
        for mut step in old {
            let padding = step.op.padding();
            let copied =
                |input: &Value| padding > 0 && wanted[*input].iter().any(|&other| other != padding);
            let copies: Vec<bool> = step.inputs.iter().map(copied).collect();
            for (input, is_copied) in step.inputs.iter_mut().zip(copies) {
                *input = numbers[*input];
                if is_copied {
                    let op = Op::Unweighted(Arc::new(Copied));
                    let copy = Computation::new(op, vec![*input], [step.input; 2]);
                    self.steps.push(copy);
                    *input = self.steps.len();
                }
            }
            self.steps.push(step);
            numbers.push(self.steps.len());
        }
    }

    /// Returns the padding of each value.
    pub(crate) fn paddings(&self) -> Vec<usize> {
        let mut paddings = vec![0; self.steps.len() + 1];
        for step in self.steps.iter().filter(|step| step.op.is_weighted()) {
            for &input in &step.inputs {
                paddings[input] = step.op.padding();
            }
        }
        paddings
    }
}
