//! The margin of each value: the zeros around its images that its consumers need together.
//!
//! A convolution reads any margin that is at least its padding, and other layers without a weight
//! read any margin. Linear steps read images as single values, so they need a copy without a margin
//! where another consumer has padding.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Computation, Op, Program, Value};
use crate::graph::Window;
use crate::ops::Copied;

/// Rows and columns of zeros around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Margin {
    /// Above and to the left.
    pub(crate) before: [usize; 2],
    /// Below and to the right.
    pub(crate) after: [usize; 2],
}

impl Margin {
    /// Returns a window's padding.
    pub(crate) fn of(window: &Window) -> Self {
        Self {
            before: window.before,
            after: window.after,
        }
    }

    /// Returns the smallest margin that contains both.
    fn join(self, other: Self) -> Self {
        let join = |one: [usize; 2], other: [usize; 2]| [0, 1].map(|at| one[at].max(other[at]));
        Self {
            before: join(self.before, other.before),
            after: join(self.after, other.after),
        }
    }
}

impl Program {
    /// Adds a copy of each value that linear steps read and that has a margin for other consumers.
    pub(super) fn copy_for_linear(&mut self) {
        let margins = self.margins();
        let mut numbers: Vec<Value> = vec![0];
        let mut copies: HashMap<Value, Value> = HashMap::new();
        for mut step in std::mem::take(&mut self.steps) {
            let is_linear = matches!(step.op, Op::Linear);
            for old in &mut step.inputs {
                let mut input = numbers[*old];
                if is_linear && margins[*old] != Margin::default() {
                    input = *copies.entry(*old).or_insert_with(|| {
                        let op = Op::Unweighted(Arc::new(Copied));
                        let copy = Computation::new(op, vec![input], [step.input; 2]);
                        self.steps.push(copy);
                        self.steps.len()
                    });
                }
                *old = input;
            }
            self.steps.push(step);
            numbers.push(self.steps.len());
        }
    }

    /// Returns the margin of each value.
    pub(crate) fn margins(&self) -> Vec<Margin> {
        let mut margins = vec![Margin::default(); self.steps.len() + 1];
        for step in &self.steps {
            if let Op::Conv { window, .. } = &step.op {
                for &input in &step.inputs {
                    margins[input] = margins[input].join(Margin::of(window));
                }
            }
        }
        margins
    }
}
