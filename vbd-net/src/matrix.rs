//! Pruned weights in memory: compressed rows.

/// A sparse matrix in compressed rows. Its memory depends on rows and entries, not on columns.
/// Entries are finite and nonzero; columns increase within a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SparseMatrix {
    cols: usize,
    row_ptr: Vec<u32>,
    col_idx: Vec<u32>,
    values: Vec<f32>,
}

impl SparseMatrix {
    /// Creates an empty matrix, to be filled row by row.
    pub fn with_capacity(rows: usize, cols: usize, nnz: usize) -> Self {
        let mut row_ptr = Vec::with_capacity(rows + 1);
        row_ptr.push(0);
        Self {
            cols,
            row_ptr,
            col_idx: Vec::with_capacity(nnz),
            values: Vec::with_capacity(nnz),
        }
    }

    /// Appends an entry to the current row.
    pub fn push(&mut self, col: u32, value: f32) {
        debug_assert!((col as usize) < self.cols);
        self.col_idx.push(col);
        self.values.push(value);
    }

    /// Ends the current row.
    ///
    /// # Panics
    /// If there are 2^32 or more entries; a weight has at most 2^28.
    pub fn end_row(&mut self) {
        self.row_ptr
            .push(u32::try_from(self.values.len()).expect("a weight has at most 2^28 entries"));
    }

    /// Creates a matrix from entries `(index, value)` with flat row-major, increasing indices.
    /// Zeros are dropped. `nnz` is the expected number of entries.
    ///
    /// # Panics
    /// If there are 2^32 or more columns or entries; a weight has at most 2^28.
    pub fn from_places(
        [rows, cols]: [usize; 2],
        nnz: usize,
        entries: impl Iterator<Item = (usize, f32)>,
    ) -> Self {
        let mut matrix = Self::with_capacity(rows, cols, nnz);
        for (place, value) in entries.filter(|&(_, value)| value != 0.0) {
            let row = place / cols;
            while matrix.rows() < row {
                matrix.end_row();
            }
            let col = u32::try_from(place % cols).expect("a weight has at most 2^28 entries");
            matrix.push(col, value);
        }
        while matrix.rows() < rows {
            matrix.end_row();
        }
        matrix
    }

    /// Returns the number of completed rows.
    pub fn rows(&self) -> usize {
        self.row_ptr.len() - 1
    }

    /// Returns the number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Returns the number of entries, including zeros.
    pub fn numel(&self) -> usize {
        self.rows() * self.cols
    }

    /// Returns the number of stored entries.
    pub fn nnz(&self) -> usize {
        self.values.len()
    }

    /// Returns the start of each row in [`SparseMatrix::values`] and the end of the last one,
    /// `[rows + 1]`.
    pub fn row_ptr(&self) -> &[u32] {
        &self.row_ptr
    }

    /// Returns the column of each stored entry, `[nnz]`.
    pub fn col_idx(&self) -> &[u32] {
        &self.col_idx
    }

    /// Returns the stored entries, `[nnz]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns columns and values of one row.
    ///
    /// # Panics
    /// If `row` is not below [`SparseMatrix::rows`].
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.row_ptr[row] as usize..self.row_ptr[row + 1] as usize;
        (&self.col_idx[range.clone()], &self.values[range])
    }

    /// Iterates over the stored entries with their flat row-major indices.
    pub fn entries(&self) -> impl Iterator<Item = (usize, f32)> {
        (0..self.rows()).flat_map(|row| {
            let (columns, values) = self.row(row);
            let start = row * self.cols;
            columns
                .iter()
                .zip(values)
                .map(move |(&col, &value)| (start + col as usize, value))
        })
    }

    /// Returns all entries, `[rows * cols]`, row-major.
    pub fn to_dense(&self) -> Vec<f32> {
        let mut all = vec![0.0; self.numel()];
        for (place, value) in self.entries() {
            all[place] = value;
        }
        all
    }

    /// Returns the matrix with the columns of each row renumbered by `column(row, col)`, which must
    /// be increasing.
    ///
    /// # Panics
    /// If there are 2^32 or more columns; a weight has at most 2^28.
    #[must_use]
    pub fn with_columns(&self, cols: usize, column: impl Fn(usize, u32) -> usize) -> Self {
        let column = |row: usize, col: u32| {
            let col = column(row, col);
            debug_assert!(col < cols);
            u32::try_from(col).expect("a weight has at most 2^28 entries")
        };
        let rows = 0..self.rows();
        let col_idx = rows.flat_map(|row| self.row(row).0.iter().map(move |&col| (row, col)));
        Self {
            cols,
            row_ptr: self.row_ptr.clone(),
            col_idx: col_idx.map(|(row, col)| column(row, col)).collect(),
            values: self.values.clone(),
        }
    }

    /// Applies `f` to each entry. Entries that become 0 are dropped.
    ///
    /// # Errors
    /// The error of `f`.
    pub fn try_map<E>(&self, f: impl Fn(f32) -> Result<f32, E>) -> Result<Self, E> {
        let mut mapped = Self::with_capacity(self.rows(), self.cols, self.nnz());
        for row in 0..self.rows() {
            let (columns, values) = self.row(row);
            for (&col, &value) in columns.iter().zip(values) {
                let value = f(value)?;
                if value != 0.0 {
                    mapped.push(col, value);
                }
            }
            mapped.end_row();
        }
        Ok(mapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_rows_and_dense_again() {
        let entries = [(1, 2.0), (2, 0.0), (3, -1.0), (11, 4.0)];
        let matrix = SparseMatrix::from_places([4, 3], 3, entries.into_iter());
        assert_eq!(matrix.row_ptr(), [0, 1, 2, 2, 3]);
        assert_eq!(matrix.col_idx(), [1, 0, 2]);
        assert_eq!(matrix.nnz(), 3);
        let mut dense = vec![0.0; 12];
        (dense[1], dense[3], dense[11]) = (2.0, -1.0, 4.0);
        assert_eq!(matrix.to_dense(), dense);
        assert_eq!(
            matrix.entries().collect::<Vec<_>>(),
            [(1, 2.0), (3, -1.0), (11, 4.0)]
        );
    }

    #[test]
    fn entries_that_become_zero_are_left_out() {
        let matrix =
            SparseMatrix::from_places([2, 2], 3, [(0, 1.0), (1, 3.0), (3, 5.0)].into_iter());
        let halved = matrix
            .try_map(|x| Ok::<_, ()>(if x == 3.0 { 0.0 } else { x / 2.0 }))
            .unwrap();
        assert_eq!(halved.to_dense(), [0.5, 0.0, 0.0, 2.5]);
        assert_eq!(halved.nnz(), 2);
        assert!(matrix.try_map(|_| Err::<f32, _>(())).is_err());
    }
}
