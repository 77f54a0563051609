//! One step with its kernels: one for a single sample, one for many.

use std::sync::Arc;

use super::kernels::{Columns, Conv, Geometry, LaneRows, RowGroups};
use super::layout::Layout;
use super::plan::Kernel;
use crate::ops::{Places, Unweighted};
use crate::passes::{Op, Step};

/// A step that runs.
#[derive(Debug)]
pub(super) enum Stage {
    Linear {
        one: One,
        many: LaneRows,
    },
    Conv(Box<Conv>),
    Unweighted {
        rule: Arc<dyn Unweighted>,
        places: Places,
    },
}

/// The kernels of a linear layer for one sample.
#[derive(Debug)]
pub(super) enum One {
    Rows(RowGroups),
    Columns(Columns),
}

/// A vector of 16 products costs as much as this many entries of [`RowGroups`] do, measured.
const ENTRIES_A_VECTOR: f64 = 0.8;

impl Stage {
    /// The kernels of `step`, from buffers of layouts `from` to one of layout `to`. `raw` are the pixels
    /// that a step's inputs are, where it takes pixels as they come; `margins` says whether what comes in
    /// are images whose margins are 0.
    pub(super) fn new(
        step: &Step,
        (from, to): (&[Layout], Layout),
        raw: Option<&[u32]>,
        margins: bool,
    ) -> Self {
        let first = from.first().copied();
        let Step {
            weight,
            bias,
            relu,
            input,
            output,
            ..
        } = step;
        let (relu, input, output) = (*relu, *input, *output);
        match &step.op {
            Op::Linear => {
                let place = |col: u32| raw.map_or(col, |places| places[col as usize]);
                let mut columns = weight.col_idx().to_vec();
                columns.sort_unstable();
                columns.dedup();
                let vectors = Columns::len(weight.rows(), columns.len()) / super::kernels::LANES;
                let dense = vectors as f64 <= weight.nnz() as f64 * ENTRIES_A_VECTOR;
                let one = if dense {
                    One::Columns(Columns::new(weight, &columns, bias, relu, place))
                } else {
                    One::Rows(RowGroups::new(weight, bias, relu, place))
                };
                Self::Linear {
                    one,
                    many: LaneRows::new(weight, bias, relu),
                }
            }
            &Op::Conv {
                kernel,
                stride,
                pool,
                ..
            } => {
                let geometry = Geometry {
                    kernel,
                    stride,
                    pool,
                    relu,
                    margins,
                    input,
                    output,
                    from: first.unwrap_or_else(|| Layout::new(input, step.op.padding())),
                    to,
                };
                Self::Conv(Box::new(Conv::new(weight, bias, geometry)))
            }
            Op::Unweighted(rule) => Self::Unweighted {
                rule: Arc::clone(rule),
                places: Places {
                    relu,
                    output,
                    from: from.to_vec(),
                    to,
                },
            },
        }
    }

    /// The kernel for many samples, and the one for one sample.
    pub(super) fn kernels(&self) -> [Kernel; 2] {
        match self {
            Self::Linear {
                one: One::Rows(_), ..
            } => [Kernel::Sparse, Kernel::Sparse],
            Self::Linear {
                one: One::Columns(_),
                ..
            } => [Kernel::Sparse, Kernel::Dense],
            Self::Conv(_) => [Kernel::Taps, Kernel::Taps],
            Self::Unweighted { .. } => [Kernel::None, Kernel::None],
        }
    }
}
