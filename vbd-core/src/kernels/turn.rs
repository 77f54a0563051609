//! Matrix transposition: samples first or units first.

/// Rows of the result written together: their inputs are one cache line.
pub(crate) const SIDE_BY_SIDE: usize = 16;

/// Rows of a matrix from a column on.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    /// Values per row.
    pub(crate) step: usize,
    pub(crate) first_column: usize,
}

/// Computes `out[column][row] = rows[row][first_column + column]` for the columns of `out`. Other
/// values of `out` are unchanged.
///
/// # Shapes
/// - `rows`: `[rows, step]`; `out`: `[columns, out_step]`, `out_step` at least the number of rows
pub(crate) fn turn(out: &mut [f32], out_step: usize, rows: Rows<'_>) {
    for (block, out) in out.chunks_mut(SIDE_BY_SIDE * out_step).enumerate() {
        let columns = out.len() / out_step;
        let first = rows.first_column + block * SIDE_BY_SIDE;
        for (row, values) in rows.values.chunks_exact(rows.step).enumerate() {
            let out = out[row..].iter_mut().step_by(out_step);
            for (out, &value) in out.zip(&values[first..first + columns]) {
                *out = value;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same bits, moved")]
mod tests {
    use super::*;
    use crate::kernels::test_values;

    #[test]
    fn every_value_is_where_it_should_be() {
        for (rows, step, first_column, columns, out_step) in
            [(3, 8, 2, 5, 4), (40, 24, 0, 23, 40), (1, 1, 0, 1, 7)]
        {
            let values = test_values(1, rows * step);
            let mut out = vec![9.0; columns * out_step];
            let from = Rows {
                values: &values,
                step,
                first_column,
            };
            turn(&mut out, out_step, from);
            for (at, &found) in out.iter().enumerate() {
                let (column, row) = (at / out_step, at % out_step);
                let expected = if row < rows {
                    values[row * step + first_column + column]
                } else {
                    9.0
                };
                assert_eq!(found, expected);
            }
        }
    }
}
