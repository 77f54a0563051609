//! The variational weight: which entries live, and for those theta, `log_sigma2` and the moments.
//!
//! It starts with every entry alive and only ever loses some. Dense or compact is a form of storage:
//! both hold the same weight, and each turns into the other exactly.

mod gate;
mod narrow;
mod parameter;
mod parameters;

pub use gate::GateParameters;
pub(crate) use narrow::Narrow;
pub use parameter::Parameter;
pub use parameters::{LayerParameters, Parameters, UnitFactors};

use crate::error::{Error, Result};
use crate::posterior::{self, LOG_SIGMA2_DEAD};

/// A weight with its posterior, or a plain weight where `log_sigma2` is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct VariationalWeight {
    shape: Vec<usize>,
    /// Flat row-major places of the stored entries, rising; `None` if all are stored.
    live: Option<Vec<u32>>,
    theta: Parameter,
    log_sigma2: Option<Parameter>,
}

impl VariationalWeight {
    /// A weight with all its entries alive.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length is not the shape's.
    pub fn dense(shape: &[usize], theta: Parameter, log_sigma2: Option<Parameter>) -> Result<Self> {
        let weight = Self {
            shape: shape.to_vec(),
            live: None,
            theta,
            log_sigma2,
        };
        weight.check_lengths(weight.numel())?;
        Ok(weight)
    }

    /// A weight of which only the entries at `live` are stored.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length is not that of `live`, or `live` does not rise or leaves the shape.
    pub fn compact(
        shape: &[usize],
        live: Vec<u32>,
        theta: Parameter,
        log_sigma2: Option<Parameter>,
    ) -> Result<Self> {
        let rises = live.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = live
            .last()
            .is_none_or(|&last| (last as usize) < shape.iter().product());
        if !rises || !inside {
            return Err(Error::Shape {
                name: "live (rising places inside the weight)".to_owned(),
                found: vec![live.len()],
                expected: shape.to_vec(),
            });
        }
        let stored = live.len();
        let weight = Self {
            shape: shape.to_vec(),
            live: Some(live),
            theta,
            log_sigma2,
        };
        weight.check_lengths(stored)?;
        Ok(weight)
    }

    fn check_lengths(&self, stored: usize) -> Result<()> {
        let parameters = [
            ("theta", Some(&self.theta)),
            ("log_sigma2", self.log_sigma2.as_ref()),
        ];
        for (name, parameter) in parameters {
            for array in parameter.into_iter().flat_map(Parameter::arrays) {
                if array.len() != stored {
                    let (found, expected) = (vec![array.len()], vec![stored]);
                    return Err(Error::Shape {
                        name: name.to_owned(),
                        found,
                        expected,
                    });
                }
            }
        }
        Ok(())
    }

    /// `[out, in]`, or `[out, in, kernel, kernel]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of entries, live and dead.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Places of the stored entries; `None` in the dense form.
    pub fn live(&self) -> Option<&[u32]> {
        self.live.as_deref()
    }

    /// Posterior means of the stored entries.
    pub fn theta(&self) -> &Parameter {
        &self.theta
    }

    /// Log variances of the stored entries; `None` for a plain weight.
    pub fn log_sigma2(&self) -> Option<&Parameter> {
        self.log_sigma2.as_ref()
    }

    /// The weight in its dense form; dead entries have theta = 0 and no moments.
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
        Self {
            shape: self.shape.clone(),
            live: None,
            theta: self.theta.map(0.0, spread),
            log_sigma2: self
                .log_sigma2
                .as_ref()
                .map(|p| p.map(LOG_SIGMA2_DEAD, spread)),
        }
    }

    /// The weight in its compact form. Of a plain weight what is 0 and has no moments is left out:
    /// it reads as that again.
    ///
    /// # Panics
    /// If the weight has more than `u32::MAX` entries; a network's has at most 2^28.
    #[must_use]
    pub fn to_compact(&self) -> Self {
        if self.live.is_some() {
            return self.clone();
        }
        let numel = u32::try_from(self.numel()).expect("a weight has at most 2^28 entries");
        let alive = |&place: &u32| match &self.log_sigma2 {
            Some(log_sigma2) => !posterior::is_dead(log_sigma2.value[place as usize]),
            None => !self.theta.is_clear(place as usize),
        };
        let live: Vec<u32> = (0..numel).filter(alive).collect();
        let gather = |values: &[f32], _absent: f32| -> Vec<f32> {
            live.iter().map(|&place| values[place as usize]).collect()
        };
        Self {
            shape: self.shape.clone(),
            theta: self.theta.map(0.0, gather),
            log_sigma2: self
                .log_sigma2
                .as_ref()
                .map(|p| p.map(LOG_SIGMA2_DEAD, gather)),
            live: Some(live),
        }
    }

    /// The form that takes fewer bytes.
    #[must_use]
    pub fn to_smallest(&self) -> Self {
        let compact = self.to_compact();
        let arrays = if self.log_sigma2.is_some() { 6 } else { 3 };
        let stored = compact.theta.value.len();
        if stored * (arrays + 1) < self.numel() * arrays {
            compact
        } else {
            self.to_dense()
        }
    }

    /// Which stored entries are kept at the threshold: `log_alpha` under it, or for a plain weight
    /// theta not 0.
    pub fn kept(&self, log_alpha_threshold: f32) -> impl Iterator<Item = bool> {
        self.theta
            .value
            .iter()
            .enumerate()
            .map(move |(index, &theta)| match &self.log_sigma2 {
                Some(p) => posterior::is_kept(theta, p.value[index], log_alpha_threshold),
                None => theta != 0.0,
            })
    }

    /// Number of entries that are kept at the threshold.
    pub fn nnz(&self, log_alpha_threshold: f32) -> usize {
        self.kept(log_alpha_threshold).filter(|&kept| kept).count()
    }

    /// All entries, `[numel]`: theta where it is kept at the threshold, else 0.
    pub fn theta_pruned(&self, log_alpha_threshold: f32) -> Vec<f32> {
        let mut all = vec![0.0; self.numel()];
        for (index, kept) in self.kept(log_alpha_threshold).enumerate() {
            if kept {
                let place = self
                    .live
                    .as_ref()
                    .map_or(index, |live| live[index] as usize);
                all[place] = self.theta.value[index];
            }
        }
        all
    }

    /// Kills every entry that is not kept: theta = 0, moments dropped, never updated again.
    /// A plain weight has nothing to kill.
    pub fn kill(&mut self, log_alpha_threshold: f32) {
        if self.log_sigma2.is_some() {
            let kept: Vec<bool> = self.kept(log_alpha_threshold).collect();
            self.drop_entries(&kept);
        }
    }

    /// Kills the entries at the flat row-major places that are not kept. Of a plain weight too: an
    /// entry between dead units has the gradient 0, and so stays 0.
    pub(crate) fn kill_places(&mut self, keeps: impl Fn(usize) -> bool) {
        let stored = 0..self.theta.value.len();
        let kept: Vec<bool> = match &self.live {
            Some(live) => live.iter().map(|&place| keeps(place as usize)).collect(),
            None => stored.map(keeps).collect(),
        };
        self.drop_entries(&kept);
    }

    /// Multiplies theta by the factor of its flat row-major place; an entry that is not 0 keeps its
    /// posterior's variance.
    pub(crate) fn scale(&mut self, factor: impl Fn(usize) -> f32) {
        for (index, theta) in self.theta.value.iter_mut().enumerate() {
            let place = self
                .live
                .as_ref()
                .map_or(index, |live| live[index] as usize);
            *theta *= factor(place);
        }
    }

    fn drop_entries(&mut self, kept: &[bool]) {
        let log_sigma2 = self.log_sigma2.as_mut();
        if let Some(live) = &mut self.live {
            retain(live, kept);
            self.theta.retain(kept);
            if let Some(log_sigma2) = log_sigma2 {
                log_sigma2.retain(kept);
            }
            return;
        }
        self.theta.clear_dropped(kept, 0.0);
        if let Some(log_sigma2) = log_sigma2 {
            log_sigma2.clear_dropped(kept, LOG_SIGMA2_DEAD);
        }
    }

    /// Whether theta, `log_sigma2` and all moments are numbers.
    pub fn is_finite(&self) -> bool {
        let log_sigma2 = self.log_sigma2.as_ref();
        self.theta.is_finite(None) && log_sigma2.is_none_or(|p| p.is_finite(Some(LOG_SIGMA2_DEAD)))
    }
}

/// Drops the values that are not kept.
fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().is_some_and(|&kept| kept));
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same bits, moved")]
mod tests {
    use super::*;

    fn weight() -> VariationalWeight {
        let theta: Vec<f32> = (0..12).map(|i| (i as f32 - 6.0) * 0.1).collect();
        let log_sigma2: Vec<f32> = (0..12)
            .map(|i| if i % 3 == 0 { 5.0 } else { -10.0 })
            .collect();
        let trained = |value: Vec<f32>| Parameter {
            m: value.iter().map(|x| x + 0.5).collect(),
            v: value.iter().map(|x| x * x).collect(),
            value,
        };
        VariationalWeight::dense(&[3, 4], trained(theta), Some(trained(log_sigma2))).unwrap()
    }

    #[test]
    fn both_forms_hold_the_same_weight_and_turn_into_each_other() {
        let mut dense = weight();
        let mut compact = dense.to_compact();
        assert_eq!(compact.live().unwrap().len(), 12);
        for threshold in [3.0, -5.0, f32::NEG_INFINITY] {
            dense.kill(threshold);
            compact.kill(threshold);
            assert_eq!(dense.to_compact(), compact);
            assert_eq!(compact.to_dense(), dense);
            assert_eq!(compact.theta_pruned(3.0), dense.theta_pruned(3.0));
            assert_eq!(compact.nnz(3.0), dense.nnz(3.0));
            assert!(dense.is_finite() && compact.is_finite());
        }
        assert_eq!(compact.live().unwrap().len(), 0);
        assert_eq!(dense.theta().value, vec![0.0; 12]);
    }

    #[test]
    fn an_entry_over_the_threshold_dies_with_its_moments() {
        let mut weight = weight();
        weight.kill(3.0);
        let (theta, log_sigma2) = (weight.theta(), weight.log_sigma2().unwrap());
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
            assert!(VariationalWeight::compact(&[3, 4], live, parameter(), None).is_err());
        }
        assert!(VariationalWeight::compact(&[3, 4], vec![1, 11], parameter(), None).is_ok());
        assert!(VariationalWeight::compact(&[3, 4], vec![1], parameter(), None).is_err());
    }
}
