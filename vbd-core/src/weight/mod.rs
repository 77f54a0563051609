//! Weights: the live entries with theta, the states of the method, and all moments.
//!
//! A weight starts with every entry alive and only loses entries. The dense and the compact form
//! store the same weight and convert to each other exactly.

mod gate;
mod norm;
mod parameter;
mod parameters;
mod state;
mod submatrix;

pub use gate::GateParameters;
pub use norm::NormParameters;
pub use parameter::Parameter;
pub use parameters::{LayerParameters, Parameters, UnitFactors};
pub use state::{Scope, State};
pub(crate) use submatrix::Submatrix;

use crate::error::{Error, Result};
use crate::method::{EntryView, WeightMethod};

/// A weight with the states of its method.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    shape: Vec<usize>,
    /// Flat row-major indices of the stored entries, increasing; `None` if all are stored.
    live: Option<Vec<u32>>,
    theta: Parameter,
    /// Per-entry states, in the method's order.
    own: Vec<State>,
    /// States of rows, columns or the whole weight.
    shared: Vec<State>,
}

impl Weight {
    /// Creates a weight with all entries alive.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length does not match the shape.
    pub fn dense(shape: &[usize], theta: Parameter, states: Vec<State>) -> Result<Self> {
        Self::new(shape, None, theta, states)
    }

    /// Creates a weight with only the entries at `live` stored.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length does not match `live`, or `live` does not increase or is out of
    /// range.
    pub fn compact(
        shape: &[usize],
        live: Vec<u32>,
        theta: Parameter,
        states: Vec<State>,
    ) -> Result<Self> {
        let rises = live.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = live
            .last()
            .is_none_or(|&last| (last as usize) < shape.iter().product());
        if !rises || !inside {
            return Err(Error::Shape {
                name: "live (increasing indices of entries)".to_owned(),
                found: vec![live.len()],
                expected: shape.to_vec(),
            });
        }
        Self::new(shape, Some(live), theta, states)
    }

    fn new(
        shape: &[usize],
        live: Option<Vec<u32>>,
        theta: Parameter,
        states: Vec<State>,
    ) -> Result<Self> {
        let stored = live
            .as_ref()
            .map_or_else(|| shape.iter().product(), Vec::len);
        State {
            parameter: theta.clone(),
            ..State::new("theta", Scope::Entry, Vec::new())
        }
        .check_len(stored)?;
        for state in &states {
            state.check_len(match state.scope {
                Scope::Entry => stored,
                scope => scope.len(shape),
            })?;
        }
        let (own, shared) = states.into_iter().partition(State::is_of_entries);
        Ok(Self {
            shape: shape.to_vec(),
            live,
            theta,
            own,
            shared,
        })
    }

    /// Returns the shape, `[out, in]` or `[out, in, kernel, kernel]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the number of entries, live and dead.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the indices of the stored entries; `None` in the dense form.
    pub fn live(&self) -> Option<&[u32]> {
        self.live.as_deref()
    }

    /// Returns theta of the stored entries.
    pub fn theta(&self) -> &Parameter {
        &self.theta
    }

    /// Returns the states of its method, per-entry states first.
    pub fn states(&self) -> impl Iterator<Item = &State> + Clone {
        self.own.iter().chain(&self.shared)
    }

    /// Returns the state with this name.
    pub fn state(&self, name: &str) -> Option<&Parameter> {
        let state = self.states().find(|state| state.name == name);
        state.map(|state| &state.parameter)
    }

    /// Checks that the weight has these states, with any values; `name` is used in errors.
    ///
    /// # Errors
    /// [`Error::States`] if it has other states.
    pub(crate) fn check_states(&self, expected: &[State], name: &str) -> Result<()> {
        let names = |states: &mut dyn Iterator<Item = &State>| -> Vec<&'static str> {
            states.map(|state| state.name).collect()
        };
        let (found, expected) = (names(&mut self.states()), names(&mut expected.iter()));
        if found == expected {
            return Ok(());
        }
        Err(Error::States {
            name: name.to_owned(),
            found,
            expected,
        })
    }

    /// Returns a method's view of the stored entries.
    pub fn view(&self) -> EntryView<'_> {
        EntryView {
            shape: &self.shape,
            places: self.live.as_deref(),
            rows: &[],
            theta: &self.theta.value,
            range: 0..self.theta.value.len(),
            own: &self.own,
            shared: &self.shared,
        }
    }

    /// Converts to the dense form; dead entries have theta = 0 and no moments.
    #[must_use]
    pub fn to_dense(&self) -> Self {
        let Some(live) = &self.live else {
            return self.clone();
        };
        let spread = |values: &[f32], absent: f32| {
            let mut all = vec![absent; self.numel()];
            for (&place, &value) in live.iter().zip(values) {
                all[place as usize] = value;
            }
            all
        };
        self.moved(None, spread)
    }

    /// Converts to the compact form. If no state marks dead entries, those that are 0 without
    /// moments are dropped; they are read back as such.
    ///
    /// # Panics
    /// If the weight has more than `u32::MAX` entries; a network's has at most 2^28.
    #[must_use]
    pub fn to_compact(&self) -> Self {
        if self.live.is_some() {
            return self.clone();
        }
        let numel = u32::try_from(self.numel()).expect("a weight has at most 2^28 entries");
        let live: Vec<u32> = (0..numel)
            .filter(|&place| !self.is_dead(place as usize))
            .collect();
        let gather = |values: &[f32], _absent: f32| -> Vec<f32> {
            live.iter().map(|&place| values[place as usize]).collect()
        };
        self.moved(Some(live.clone()), gather)
    }

    /// Returns the weight with `by` applied to every per-entry array.
    fn moved(&self, live: Option<Vec<u32>>, by: impl Fn(&[f32], f32) -> Vec<f32>) -> Self {
        let own = self.own.iter();
        let own = own.map(|state| state.with(state.parameter.map(state.absent(), &by)));
        Self {
            shape: self.shape.clone(),
            live,
            theta: self.theta.map(0.0, &by),
            own: own.collect(),
            shared: self.shared.clone(),
        }
    }

    /// Returns whether a stored entry is dead: a state marks it, or it is 0 without moments or
    /// states.
    pub fn is_dead(&self, index: usize) -> bool {
        let mut marks = self
            .own
            .iter()
            .filter_map(|state| Some((state, state.dead?)));
        match marks.next() {
            Some((state, dead)) => state.parameter.value[index].to_bits() == dead.to_bits(),
            None => {
                self.theta.is_clear(index)
                    && self.own.iter().all(|state| state.parameter.is_clear(index))
            }
        }
    }

    /// Converts to the form that takes fewer bytes.
    #[must_use]
    pub fn to_smallest(&self) -> Self {
        let compact = self.to_compact();
        let arrays = self.arrays();
        let stored = compact.theta.value.len();
        if stored * (arrays + 1) < self.numel() * arrays {
            compact
        } else {
            self.to_dense()
        }
    }

    /// Returns the number of per-entry arrays: theta and states, each with two moments.
    pub fn arrays(&self) -> usize {
        3 * (1 + self.own.len())
    }

    /// Returns which stored entries a method keeps.
    pub fn kept(&self, method: &dyn WeightMethod) -> Vec<bool> {
        method.kept(self.view())
    }

    /// Returns the number of entries that a method keeps.
    pub fn nnz(&self, method: &dyn WeightMethod) -> usize {
        self.kept(method).into_iter().filter(|&kept| kept).count()
    }

    /// Returns all entries, `[numel]`: theta if a method keeps it, else 0.
    pub fn theta_pruned(&self, method: &dyn WeightMethod) -> Vec<f32> {
        let mut all = vec![0.0; self.numel()];
        for (index, kept) in self.kept(method).into_iter().enumerate() {
            if kept {
                all[self.place(index)] = self.theta.value[index];
            }
        }
        all
    }

    fn place(&self, index: usize) -> usize {
        self.live
            .as_ref()
            .map_or(index, |live| live[index] as usize)
    }

    /// Kills every entry that the method does not keep: theta = 0, moments dropped, never updated
    /// again. Does nothing if entries never die.
    pub fn kill(&mut self, method: &dyn WeightMethod) {
        if method.kills() {
            let kept = self.kept(method);
            self.drop_entries(&kept);
        }
    }

    /// Sets theta to 0 for entries that the method does not keep, whether they die or may return.
    pub(crate) fn prune(&mut self, method: &dyn WeightMethod) {
        let kept = self.kept(method);
        self.drop_entries(&kept);
    }

    /// Kills entries by flat row-major index, whatever their method. An entry between dead units
    /// has gradient 0, so it stays 0.
    pub(crate) fn kill_places(&mut self, keeps: impl Fn(usize) -> bool) {
        let stored = 0..self.theta.value.len();
        let kept: Vec<bool> = stored.map(|index| keeps(self.place(index))).collect();
        self.drop_entries(&kept);
    }

    /// Multiplies theta by a factor that depends on the flat row-major index. Nonzero entries keep
    /// their states.
    pub(crate) fn scale(&mut self, factor: impl Fn(usize) -> f32) {
        for index in 0..self.theta.value.len() {
            let place = self.place(index);
            self.theta.value[index] *= factor(place);
        }
    }

    /// Calls `write` to change theta and per-entry states of a weight in dense form.
    pub(crate) fn put(
        &mut self,
        write: impl FnOnce(&mut Parameter, std::slice::IterMut<'_, State>),
    ) {
        write(&mut self.theta, self.own.iter_mut());
    }

    fn drop_entries(&mut self, kept: &[bool]) {
        if let Some(live) = &mut self.live {
            retain(live, kept);
            self.theta.retain(kept);
            for state in &mut self.own {
                state.parameter.retain(kept);
            }
            return;
        }
        self.theta.clear_dropped(kept, 0.0);
        for state in &mut self.own {
            let absent = state.absent();
            state.parameter.clear_dropped(kept, absent);
        }
    }

    /// Returns whether theta, states and moments are finite.
    pub fn is_finite(&self) -> bool {
        self.theta.is_finite(None) && self.states().all(State::is_finite)
    }
}

/// Removes the values that are not kept.
fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().is_some_and(|&kept| kept));
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same bits, moved")]
mod tests {
    use super::*;
    use crate::method::vbd;
    use crate::posterior::{self, LOG_SIGMA2, LOG_SIGMA2_DEAD};

    fn weight() -> Weight {
        let theta: Vec<f32> = (0..12).map(|i| (i as f32 - 6.0) * 0.1).collect();
        let log_sigma2: Vec<f32> = (0..12)
            .map(|i| if i % 3 == 0 { 5.0 } else { -10.0 })
            .collect();
        let trained = |value: Vec<f32>| Parameter {
            m: value.iter().map(|x| x + 0.5).collect(),
            v: value.iter().map(|x| x * x).collect(),
            value,
        };
        Weight::dense(
            &[3, 4],
            trained(theta),
            vec![posterior::state(trained(log_sigma2))],
        )
        .unwrap()
    }

    #[test]
    fn both_forms_hold_the_same_weight_and_turn_into_each_other() {
        let mut dense = weight();
        let mut compact = dense.to_compact();
        assert_eq!(compact.live().unwrap().len(), 12);
        for threshold in [3.0, -5.0, f32::NEG_INFINITY] {
            let method = &*vbd(threshold);
            dense.kill(method);
            compact.kill(method);
            assert_eq!(dense.to_compact(), compact);
            assert_eq!(compact.to_dense(), dense);
            assert_eq!(
                compact.theta_pruned(&*vbd(3.0)),
                dense.theta_pruned(&*vbd(3.0))
            );
            assert_eq!(compact.nnz(&*vbd(3.0)), dense.nnz(&*vbd(3.0)));
            assert!(dense.is_finite() && compact.is_finite());
        }
        assert_eq!(compact.live().unwrap().len(), 0);
        assert_eq!(dense.theta().value, vec![0.0; 12]);
    }

    #[test]
    fn an_entry_over_the_threshold_dies_with_its_moments() {
        let mut weight = weight();
        weight.kill(&*vbd(3.0));
        let (theta, log_sigma2) = (weight.theta(), weight.state(LOG_SIGMA2).unwrap());
        for index in [0, 3, 6, 9] {
            assert_eq!(theta.arrays().map(|array| array[index]), [0.0; 3]);
            assert_eq!(
                log_sigma2.arrays().map(|array| array[index]),
                [LOG_SIGMA2_DEAD, 0.0, 0.0]
            );
        }
        assert_eq!(theta.value[1], -0.5);
    }

    #[test]
    fn places_that_do_not_rise_or_leave_the_shape_are_refused() {
        let parameter = || Parameter::new(vec![1.0; 2]);
        for live in [vec![3, 1], vec![1, 1], vec![1, 12]] {
            assert!(Weight::compact(&[3, 4], live, parameter(), Vec::new()).is_err());
        }
        assert!(Weight::compact(&[3, 4], vec![1, 11], parameter(), Vec::new()).is_ok());
        assert!(Weight::compact(&[3, 4], vec![1], parameter(), Vec::new()).is_err());
    }
}
