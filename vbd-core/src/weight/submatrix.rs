//! Submatrices of plain weights, for networks with dead units.

use super::{LayerParameters, Parameter, Weight};
use crate::error::Result;

/// Some rows and columns of a layer's weight. Everything outside is 0 and has no moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submatrix {
    /// Shape of the whole weight.
    whole: Vec<usize>,
    /// Shape of the submatrix.
    shape: Vec<usize>,
    rows: Vec<u32>,
    /// Flat row-major indices of its entries.
    places: Vec<u32>,
}

impl Submatrix {
    /// Selects rows, and the columns that read the given inputs (features or channels).
    pub(crate) fn new(whole: &[usize], rows: &[u32], inputs: &[u32]) -> Self {
        let area = whole[2..].iter().product::<usize>();
        let row_len = whole[1] * area;
        let place = |row: u32, input: u32, tap: usize| {
            let place = row as usize * row_len + input as usize * area + tap;
            u32::try_from(place).expect("a weight has at most 2^28 entries")
        };
        let places = rows.iter().flat_map(|&row| {
            let columns = inputs.iter();
            columns.flat_map(move |&input| (0..area).map(move |tap| place(row, input, tap)))
        });
        let shape = [&[rows.len(), inputs.len()], &whole[2..]].concat();
        Self {
            places: places.collect(),
            whole: whole.to_vec(),
            shape,
            rows: rows.to_vec(),
        }
    }

    /// Shape of the submatrix.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Extracts the submatrix from a plain layer.
    pub(crate) fn take(&self, layer: &LayerParameters) -> Result<LayerParameters> {
        let theta = layer.weight.to_dense().theta().gather(&self.places, 0.0);
        Ok(LayerParameters {
            name: layer.name.clone(),
            weight: Weight::dense(&self.shape, theta, Vec::new())?,
            bias: layer.bias.gather(&self.rows, 0.0),
        })
    }

    /// Inserts the submatrix into a plain layer that is 0 elsewhere.
    pub(crate) fn put(&self, narrow: &LayerParameters) -> Result<LayerParameters> {
        let zeros = |len: usize| Parameter::new(vec![0.0; len]);
        let mut theta = zeros(self.whole.iter().product());
        theta.scatter(&self.places, narrow.weight.theta());
        let mut bias = zeros(self.whole[0]);
        bias.scatter(&self.rows, &narrow.bias);
        Ok(LayerParameters {
            name: narrow.name.clone(),
            weight: Weight::dense(&self.whole, theta, Vec::new())?,
            bias,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_goes_back_to_its_places() {
        let theta: Vec<f32> = (0..3 * 4 * 2).map(|i| i as f32 + 1.0).collect();
        let layer = LayerParameters {
            name: "conv1".to_owned(),
            weight: Weight::dense(&[3, 4, 2, 1], Parameter::new(theta), Vec::new()).unwrap(),
            bias: Parameter::new(vec![1.0, 2.0, 3.0]),
        };
        let narrow = Submatrix::new(&[3, 4, 2, 1], &[0, 2], &[1, 3]);
        let taken = narrow.take(&layer).unwrap();
        assert_eq!(taken.weight.shape(), [2, 2, 2, 1]);
        let expected = [3.0, 4.0, 7.0, 8.0, 19.0, 20.0, 23.0, 24.0];
        assert_eq!(taken.weight.theta().value, expected);
        assert_eq!(taken.bias.value, [1.0, 3.0]);
        let mut killed = layer;
        killed
            .weight
            .kill_places(|place| place / 8 != 1 && place % 8 / 2 % 2 == 1);
        killed.bias.clear(1, 0.0);
        assert_eq!(narrow.put(&taken).unwrap(), killed);
    }
}
