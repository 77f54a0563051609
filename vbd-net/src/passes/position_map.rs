//! Maps positions after select and flatten layers to positions before them.

use std::sync::Arc;

/// Positions after select and flatten layers, computed on demand: a selected channel may have far
/// more values than the file has bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct PositionMap {
    /// Selected indices, increasing; `None` for all.
    index: Option<Arc<[u32]>>,
    /// Values per selected index; 0 counts as 1.
    area: usize,
    /// Whether an image has been flattened.
    is_flat: bool,
}

impl PositionMap {
    /// Applies a selection.
    pub(crate) fn select(&mut self, index: &[u32]) {
        let place = |&at: &u32| {
            let place = self.place(at as usize);
            u32::try_from(place).expect("a spec allows 2^24 values")
        };
        self.index = Some(index.iter().map(place).collect());
        self.area = 1;
    }

    /// Applies a flattening of units with `area` values. A second one has no effect.
    pub(crate) fn flatten(&mut self, area: usize) {
        if !std::mem::replace(&mut self.is_flat, true) {
            self.area = area;
        }
    }

    /// Returns the original position of the value or unit at `place`.
    pub(crate) fn place(&self, place: usize) -> usize {
        let area = self.area.max(1);
        match &self.index {
            Some(index) => index[place / area] as usize * area + place % area,
            None => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_then_values_lead_back_to_where_they_were() {
        let mut positions = PositionMap::default();
        positions.select(&[1, 3, 4]);
        assert_eq!(positions.place(2), 4);
        positions.select(&[0, 2]);
        assert_eq!(positions.place(1), 4);
        positions.flatten(6);
        assert_eq!((positions.place(2), positions.place(7)), (8, 25));
        positions.select(&[2, 7, 11]);
        positions.flatten(6);
        assert_eq!([0, 1, 2].map(|at| positions.place(at)), [8, 25, 29]);
    }
}
