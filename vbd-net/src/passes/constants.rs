//! Folds constant units into the biases of their consumers.

use std::collections::BTreeMap;

use super::{Computation, Op, Program};
use crate::matrix::SparseMatrix;

/// Constant units of a value and their values.
type Constants = BTreeMap<u32, f32>;

/// Maximum number of constants kept over all values.
const MOST_KNOWN: usize = 1 << 20;

impl Program {
    /// Folds constants into the biases of the weights that read them.
    pub(super) fn fold_constants(&mut self) {
        let mut constants = vec![Constants::new()];
        let mut known = 0_usize;
        for step in &mut self.steps {
            let mut inputs = step.inputs.iter().map(|&input| &constants[input]);
            let first = inputs.next().expect("a step has an input");
            let outputs = match &step.op {
                Op::Linear | Op::Conv { .. } => step.fold(first),
                Op::Unweighted(rule) => {
                    let others: Vec<&Constants> = inputs.collect();
                    let constant = first.iter().filter_map(|(&unit, &value)| {
                        let others = others.iter().map(|other| other.get(&unit).copied());
                        let all: Option<Vec<f32>> =
                            [Some(value)].into_iter().chain(others).collect();
                        Some((unit, step.activate(rule.constant(&all?)?)))
                    });
                    constant.collect()
                }
            };
            // Not folding is also correct. This bounds the constants of nested sums.
            known = known.saturating_add(outputs.len());
            constants.push(if known > MOST_KNOWN {
                Constants::new()
            } else {
                outputs
            });
        }
    }
}

impl Computation {
    /// Folds constant inputs into the bias. Returns the outputs that are constant then.
    #[expect(clippy::cast_possible_truncation, reason = "biases are f32")]
    fn fold(&mut self, inputs: &Constants) -> Constants {
        // Padding makes a constant vary: it is 0 at the edge of the image.
        let padded = self.op.is_padded();
        let per_unit = self.per_unit();
        let constant = |col: u32| {
            let value = inputs.get(&unit_of(col, per_unit)).copied();
            value.filter(|&value| !padded || value == 0.0)
        };
        let old = &self.weight;
        let mut left = SparseMatrix::with_capacity(old.rows(), old.cols(), old.nnz());
        let (mut biases, mut outputs) = (Vec::new(), Constants::new());
        for (row, &bias) in (0..).zip(&self.bias) {
            let mut shifted = f64::from(bias);
            let (columns, values) = old.row(row as usize);
            let before = left.nnz();
            for (&col, &value) in columns.iter().zip(values) {
                match constant(col) {
                    Some(constant) => shifted += f64::from(value) * f64::from(constant),
                    None => left.push(col, value),
                }
            }
            left.end_row();
            biases.push(shifted as f32);
            if left.nnz() == before {
                outputs.insert(row, self.activate(shifted as f32));
            }
        }
        // A selection or a scale must keep all its units, constant or not.
        if self.layer().is_some() {
            (self.weight, self.bias) = (left, biases);
        }
        outputs
    }
}

/// Returns the unit that a column of a weight reads.
pub(super) fn unit_of(col: u32, per_unit: usize) -> u32 {
    u32::try_from(col as usize / per_unit).expect("a quotient of a u32")
}
