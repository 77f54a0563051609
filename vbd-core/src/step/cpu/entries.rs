//! Entries of a weight in the order of a form.

use std::ops::Range;
use std::sync::Arc;

use super::geometry::narrow;
use crate::method::{DataGradient, EntryView, EntryViewMut, NOWHERE, Update, WeightMethod};
use crate::weight::{Parameter, Scope, State, Weight};

/// Entries with their states, and the mean and variance used in a step.
pub(super) struct Entries {
    method: Arc<dyn WeightMethod>,
    shape: Vec<usize>,
    /// Flat row-major index of each entry in its weight.
    places: Vec<u32>,
    /// Row of each entry, if a state belongs to rows.
    rows: Vec<u32>,
    theta: Parameter,
    own: Vec<State>,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
}

impl Entries {
    /// Extracts the entries at `places` from a weight in dense form.
    pub(super) fn gather(
        weight: &Weight,
        method: &Arc<dyn WeightMethod>,
        places: Vec<u32>,
    ) -> Self {
        let theta = weight.theta().gather(&places, 0.0);
        let states = weight.states();
        let has_rows = states.clone().any(|state| state.scope == Scope::Row);
        let own = states.filter(|state| state.is_of_entries());
        let gather = |state: &State| {
            let absent = state.dead.unwrap_or_default();
            state.with(state.parameter.gather(&places, absent))
        };
        let row_len: usize = weight.shape()[1..].iter().product();
        let row = |&place: &u32| match place {
            NOWHERE => NOWHERE,
            place => place / narrow(row_len),
        };
        let sampled = if method.is_sampled() { places.len() } else { 0 };
        Self {
            method: Arc::clone(method),
            shape: weight.shape().to_vec(),
            mean: theta.value.clone(),
            variance: vec![0.0; sampled],
            own: own.map(gather).collect(),
            rows: places.iter().filter(|_| has_rows).map(row).collect(),
            places,
            theta,
        }
    }

    /// Writes the entries to dense parameters; `own` are the per-entry states.
    pub(super) fn scatter<'a>(
        &self,
        theta: &mut Parameter,
        own: impl Iterator<Item = &'a mut State>,
    ) {
        theta.scatter(&self.places, &self.theta);
        for (to, from) in own.zip(&self.own) {
            to.parameter.scatter(&self.places, &from.parameter);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether the entries have variances.
    pub(super) fn is_sampled(&self) -> bool {
        self.method.is_sampled()
    }

    fn view<'a>(&'a self, shared: &'a [State]) -> EntryView<'a> {
        EntryView {
            shape: &self.shape,
            places: Some(&self.places),
            rows: &self.rows,
            theta: &self.theta.value,
            range: 0..self.len(),
            own: &self.own,
            shared,
        }
    }

    /// Computes the means and variances used in a step.
    pub(super) fn mask(&mut self, shared: &[State], active: bool) {
        let mut mean = std::mem::take(&mut self.mean);
        let mut variance = std::mem::take(&mut self.variance);
        let view = self.view(shared);
        self.method.moments(view, active, &mut mean, &mut variance);
        (self.mean, self.variance) = (mean, variance);
    }

    /// Adds the entries' contribution to the sums of the first phase.
    pub(super) fn gather_sums(&self, shared: &[State], data: DataGradient<'_>, sums: &mut [f64]) {
        self.method
            .gather(self.view(shared), data, &self.variance, sums);
    }

    /// Updates the entries in `range` by their gradients, and computes means and variances.
    pub(super) fn update(
        &mut self,
        range: Range<usize>,
        data: DataGradient<'_>,
        shared: SharedEntries<'_>,
        update: &Update,
    ) {
        let variance = if self.variance.is_empty() {
            &mut []
        } else {
            &mut self.variance[range.clone()]
        };
        let entries = EntryViewMut {
            shape: &self.shape,
            places: &self.places[range.clone()],
            rows: self.rows.get(range.clone()).unwrap_or_default(),
            mean: &mut self.mean[range.clone()],
            range,
            theta: &mut self.theta,
            own: &mut self.own,
            shared: shared.states,
            variance,
        };
        self.method.update(entries, data, shared.of_step, update);
    }

    /// Sets every theta, for gates that do not learn it.
    pub(super) fn set_theta(&mut self, value: f32) {
        self.theta = Parameter::new(vec![value; self.theta.value.len()]);
        self.mean.fill(value);
    }

    /// Returns the penalty of the entries, summed.
    pub(super) fn penalty(&self, shared: &[State]) -> f64 {
        self.method.penalty(self.view(shared))
    }
}

/// Values shared by the entries of a weight in the second phase of a step.
#[derive(Clone, Copy, Default)]
pub(super) struct SharedEntries<'a> {
    /// States of rows, columns, the weight and the net after the step.
    pub(super) states: &'a [State],
    /// Result of the first phase.
    pub(super) of_step: &'a [f32],
}
