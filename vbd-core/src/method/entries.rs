//! What a method sees of a weight: some entries, wherever they lie in it.

use std::ops::Range;

use crate::optim::Descent;
use crate::step::At;
use crate::weight::{Parameter, State};

/// The place of an entry that only fills a vector.
pub const NOWHERE: u32 = u32::MAX;

/// Some entries of a weight, to read.
#[derive(Debug, Clone)]
pub struct EntryView<'a> {
    /// `[out, in]`, or `[out, in, kernel, kernel]`.
    pub shape: &'a [usize],
    /// Flat row-major place of each, or [`NOWHERE`]; `None` where all entries are there in their order.
    pub places: Option<&'a [u32]>,
    /// Row of each, or [`NOWHERE`]; empty where nobody worked them out.
    pub rows: &'a [u32],
    /// Theta of each.
    pub theta: &'a [f32],
    /// Which of `own`'s values are these entries'.
    pub range: Range<usize>,
    /// The states of entries, in the method's order.
    pub own: &'a [State],
    /// The states of rows, columns and the whole weight, in the method's order.
    pub shared: &'a [State],
}

impl<'a> EntryView<'a> {
    /// Values of a state of entries, by its number among these.
    pub fn own(&self, number: usize) -> &'a [f32] {
        &self.own[number].parameter.value[self.range.clone()]
    }

    /// Values of a state of rows, columns or the whole weight, by its number among these.
    pub fn shared(&self, number: usize) -> &'a [f32] {
        &self.shared[number].parameter.value
    }

    /// The place of an entry; `None` of one that only fills a vector.
    pub fn place(&self, index: usize) -> Option<usize> {
        let place = self.places.map(|places| places[index]);
        place.map_or(Some(index), |place| {
            (place != NOWHERE).then_some(place as usize)
        })
    }

    /// The row of an entry; `None` of one that only fills a vector.
    pub fn row(&self, index: usize) -> Option<usize> {
        if let Some(&row) = self.rows.get(index) {
            return (row != NOWHERE).then_some(row as usize);
        }
        let row_len: usize = self.shape[1..].iter().product();
        Some(self.place(index)? / row_len)
    }

    /// The column of an entry, a feature or channel; `None` of one that only fills a vector.
    pub fn column(&self, index: usize) -> Option<usize> {
        let area: usize = self.shape[2..].iter().product();
        Some(self.place(index)? / area % self.shape[1])
    }
}

/// The same entries to change, with the mean and the variance that the next step computes with.
pub struct EntryViewMut<'a> {
    /// `[out, in]`, or `[out, in, kernel, kernel]`.
    pub shape: &'a [usize],
    /// Flat row-major place of each, or [`NOWHERE`].
    pub places: &'a [u32],
    /// Row of each, or [`NOWHERE`]; empty where nobody worked them out.
    pub rows: &'a [u32],
    /// Which of the parameters' values are these entries'.
    pub range: Range<usize>,
    /// Theta.
    pub theta: &'a mut Parameter,
    /// The states of entries, in the method's order.
    pub own: &'a mut [State],
    /// The states of rows, columns and the whole weight, as they are after the step.
    pub shared: &'a [State],
    /// Mean of each.
    pub mean: &'a mut [f32],
    /// Variance of each; empty where the method has none.
    pub variance: &'a mut [f32],
}

impl EntryViewMut<'_> {
    /// The same entries to read.
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

/// The gradients of the data term, by the means and the variances of some entries.
#[derive(Debug, Clone, Copy)]
pub struct DataGradient<'a> {
    /// By the means.
    pub theta: &'a [f32],
    /// By the variances; empty where the method has none.
    pub sigma2: &'a [f32],
}

/// What a step says to a method.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Factor on the penalty: `kl_scale * kl_weight / N`, the weight's own factor included.
    pub penalty_factor: f32,
    /// How values follow their gradients.
    pub descent: Descent,
    /// Whether what is over its threshold is masked: while `kl_scale` is positive.
    pub active: bool,
    /// Where the run is.
    pub at: At,
}

impl Update {
    /// The same with a further factor on the penalty.
    #[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
    #[must_use]
    pub fn times(self, kl_weight: f64) -> Self {
        Self {
            penalty_factor: self.penalty_factor * kl_weight as f32,
            ..self
        }
    }
}
