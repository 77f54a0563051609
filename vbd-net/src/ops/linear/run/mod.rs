//! Sparse linear layers: a kernel for one sample, chosen by density, and one for many samples.

mod columns;
mod lanes;
mod rows;

use columns::Columns;
pub(crate) use lanes::LaneRows;
use pulp::Arch;
use rows::RowGroups;

use crate::matrix::SparseMatrix;
use crate::runtime::kernels::{LANES, Pixel};

/// A sparse linear layer, for one sample and for many.
#[derive(Debug)]
pub(crate) struct LinearKernels {
    pub(crate) one: One,
    pub(crate) many: LaneRows,
}

/// The kernels for one sample.
#[derive(Debug)]
pub(crate) enum One {
    Rows(RowGroups),
    Columns(Columns),
}

/// Cost of a vector of 16 products in entries of [`RowGroups`], measured.
const ENTRIES_A_VECTOR: f64 = 0.8;

impl LinearKernels {
    /// Creates the kernels of a weight. If the layer reads raw pixels, `raw` are the pixels of its
    /// columns.
    pub(crate) fn new(
        weight: &SparseMatrix,
        bias: &[f32],
        relu: bool,
        raw: Option<&[u32]>,
    ) -> Self {
        let place = |col: u32| raw.map_or(col, |places| places[col as usize]);
        let mut columns = weight.col_idx().to_vec();
        columns.sort_unstable();
        columns.dedup();
        let vectors = Columns::len(weight.rows(), columns.len()) / LANES;
        let dense = vectors as f64 <= weight.nnz() as f64 * ENTRIES_A_VECTOR;
        let one = if dense {
            One::Columns(Columns::new(weight, &columns, bias, relu, place))
        } else {
            One::Rows(RowGroups::new(weight, bias, relu, place))
        };
        Self {
            one,
            many: LaneRows::new(weight, bias, relu),
        }
    }
}

impl One {
    pub(crate) fn run<T: Pixel>(
        &self,
        arch: Arch,
        x: &[T],
        y: &mut [f32],
        nonzero: &mut Vec<(u32, f32)>,
    ) {
        match self {
            Self::Rows(rows) => rows.run(arch, x, y),
            Self::Columns(columns) => columns.run(arch, x, y, nonzero),
        }
    }
}
