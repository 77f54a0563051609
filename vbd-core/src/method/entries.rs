//! Views of a weight's entries for methods.

use std::ops::Range;

use crate::optim::Descent;
use crate::step::At;
use crate::weight::{Parameter, State};

/// Index of a padding entry.
pub const NOWHERE: u32 = u32::MAX;

/// Read-only view of some entries of a weight.
#[derive(Debug, Clone)]
pub struct EntryView<'a> {
    /// `[out, in]`, or `[out, in, kernel, kernel]`.
    pub shape: &'a [usize],
    /// Flat row-major index of each entry, or [`NOWHERE`]; `None` if the view has all entries in
    /// order.
    pub places: Option<&'a [u32]>,
    /// Row of each entry, or [`NOWHERE`]; empty if not needed.
    pub rows: &'a [u32],
    /// Theta of each entry.
    pub theta: &'a [f32],
    /// Range of these entries in the values of `own`.
    pub range: Range<usize>,
    /// Per-entry states, in the method's order.
    pub own: &'a [State],
    /// States of rows, columns and the whole weight, in the method's order.
    pub shared: &'a [State],
}

impl<'a> EntryView<'a> {
    /// Returns the values of a per-entry state, by its number among these.
    pub fn own(&self, number: usize) -> &'a [f32] {
        &self.own[number].parameter.value[self.range.clone()]
    }

    /// Returns the values of a state of rows, columns or the whole weight, by its number among
    /// these.
    pub fn shared(&self, number: usize) -> &'a [f32] {
        &self.shared[number].parameter.value
    }

    /// Returns the index of an entry; `None` for padding.
    pub fn place(&self, index: usize) -> Option<usize> {
        let place = self.places.map(|places| places[index]);
        place.map_or(Some(index), |place| {
            (place != NOWHERE).then_some(place as usize)
        })
    }

    /// Returns the row of an entry; `None` for padding.
    pub fn row(&self, index: usize) -> Option<usize> {
        if let Some(&row) = self.rows.get(index) {
            return (row != NOWHERE).then_some(row as usize);
        }
        let row_len: usize = self.shape[1..].iter().product();
        Some(self.place(index)? / row_len)
    }

    /// Returns the column of an entry (feature or channel); `None` for padding.
    pub fn column(&self, index: usize) -> Option<usize> {
        let area: usize = self.shape[2..].iter().product();
        Some(self.place(index)? / area % self.shape[1])
    }
}

/// Mutable view of some entries, with the mean and variance for the next step.
pub struct EntryViewMut<'a> {
    /// `[out, in]`, or `[out, in, kernel, kernel]`.
    pub shape: &'a [usize],
    /// Flat row-major index of each entry, or [`NOWHERE`].
    pub places: &'a [u32],
    /// Row of each entry, or [`NOWHERE`]; empty if not needed.
    pub rows: &'a [u32],
    /// Range of these entries in the parameters' values.
    pub range: Range<usize>,
    /// Theta.
    pub theta: &'a mut Parameter,
    /// Per-entry states, in the method's order.
    pub own: &'a mut [State],
    /// States of rows, columns and the whole weight after the step.
    pub shared: &'a [State],
    /// Mean of each entry.
    pub mean: &'a mut [f32],
    /// Variance of each entry; empty if the method has none.
    pub variance: &'a mut [f32],
}

impl EntryViewMut<'_> {
    /// Returns a read-only view of the entries.
    pub fn view(&self) -> EntryView<'_> {
        EntryView {
            shape: self.shape,
            places: Some(self.places),
            rows: self.rows,
            theta: &self.theta.value[self.range.clone()],
            range: self.range.clone(),
            own: self.own,
            shared: self.shared,
        }
    }
}

/// Gradients of the data term with respect to means and variances of some entries.
#[derive(Debug, Clone, Copy)]
pub struct DataGradient<'a> {
    /// Gradients with respect to the means.
    pub theta: &'a [f32],
    /// Gradients with respect to the variances; empty if the method has none.
    pub sigma2: &'a [f32],
}

/// Settings of an update.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Factor on the penalty: `kl_scale * kl_weight / N`, including the weight's own factor.
    pub kl_factor: f32,
    /// Optimiser at this step.
    pub descent: Descent,
    /// Whether entries above their threshold are masked, that is, whether `kl_scale` is positive.
    pub active: bool,
    /// Position in the run.
    pub at: At,
}

impl Update {
    /// Returns the update with a further factor on the penalty.
    #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
    #[must_use]
    pub fn times(self, kl_weight: f64) -> Self {
        Self {
            kl_factor: self.kl_factor * kl_weight as f32,
            ..self
        }
    }
}
