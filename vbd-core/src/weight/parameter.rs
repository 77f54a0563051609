//! Trained values with the optimiser's moments.

/// Trained values with the moments of their gradients.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameter {
    /// Values.
    pub value: Vec<f32>,
    /// Running mean of the gradient.
    pub m: Vec<f32>,
    /// Running mean of the gradient's square.
    pub v: Vec<f32>,
}

impl Parameter {
    /// Creates an untrained parameter.
    pub fn new(value: Vec<f32>) -> Self {
        let zeros = vec![0.0; value.len()];
        Self {
            value,
            m: zeros.clone(),
            v: zeros,
        }
    }

    /// Returns the three arrays value, m, v.
    pub fn arrays(&self) -> [&Vec<f32>; 3] {
        [&self.value, &self.m, &self.v]
    }

    fn arrays_mut(&mut self) -> [&mut Vec<f32>; 3] {
        [&mut self.value, &mut self.m, &mut self.v]
    }

    /// Returns the values at `range` with their moments.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn slices_mut(&mut self, range: std::ops::Range<usize>) -> [&mut [f32]; 3] {
        let Self { value, m, v } = self;
        [
            &mut value[range.clone()],
            &mut m[range.clone()],
            &mut v[range],
        ]
    }

    /// Returns the values at `places` with their moments; `absent` for a place outside the
    /// parameter.
    pub(crate) fn gather(&self, places: &[u32], absent: f32) -> Self {
        let gather = |values: &[f32], absent: f32| {
            places
                .iter()
                .map(|&place| values.get(place as usize).copied().unwrap_or(absent))
                .collect()
        };
        self.map(absent, gather)
    }

    /// Writes back the values that [`Parameter::gather`] took from `places`.
    pub(crate) fn scatter(&mut self, places: &[u32], from: &Self) {
        for (to, from) in self.arrays_mut().into_iter().zip(from.arrays()) {
            for (&place, &value) in places.iter().zip(from) {
                if let Some(to) = to.get_mut(place as usize) {
                    *to = value;
                }
            }
        }
    }

    /// Sets an entry and drops its moments.
    pub(crate) fn clear(&mut self, index: usize, value: f32) {
        (self.value[index], self.m[index], self.v[index]) = (value, 0.0, 0.0);
    }

    /// Returns whether an entry is 0 without moments.
    pub(super) fn is_clear(&self, index: usize) -> bool {
        self.arrays()
            .iter()
            .all(|array| array[index].to_bits() == 0)
    }

    /// Sets the entries that are not kept and drops their moments.
    pub(crate) fn clear_dropped(&mut self, kept: &[bool], value: f32) {
        for (index, _) in kept.iter().enumerate().filter(|&(_, &kept)| !kept) {
            self.clear(index, value);
        }
    }

    /// Removes the entries that are not kept.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        for array in self.arrays_mut() {
            super::retain(array, kept);
        }
    }

    /// Applies `f` to each of the three arrays; `absent` is the value of missing entries.
    pub(super) fn map(&self, absent: f32, f: impl Fn(&[f32], f32) -> Vec<f32>) -> Self {
        Self {
            value: f(&self.value, absent),
            m: f(&self.m, 0.0),
            v: f(&self.v, 0.0),
        }
    }

    /// Returns whether every number is finite or the mark of a dead entry.
    pub(super) fn is_finite(&self, except: Option<f32>) -> bool {
        let finite = |x: &f32| x.is_finite() || Some(*x) == except;
        self.value.iter().all(finite) && self.m.iter().chain(&self.v).all(|x| x.is_finite())
    }
}
