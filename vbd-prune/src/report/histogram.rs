//! Histograms of `log_alpha`.

use serde::Serialize;
use vbd_core::method::WeightMethod;
use vbd_core::posterior::LOG_ALPHA_DISPLAYED;
use vbd_core::weight::Weight;

/// Number of bins, each of width 1.
const BINS: usize = 40;

/// A histogram of `log_alpha` from -20 to 20 in bins of width 1; the outer bins include values
/// outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// Start of the first bin.
    pub low: i32,
    /// End of the last bin.
    pub high: i32,
    /// Number of weights in each bin.
    pub counts: Vec<u64>,
    /// Number of dead weights, which are in no bin.
    pub dead: u64,
}

impl Histogram {
    #[expect(clippy::cast_possible_truncation, reason = "the range is -20 to 20")]
    fn empty() -> Self {
        let high = LOG_ALPHA_DISPLAYED as i32;
        Self {
            low: -high,
            high,
            counts: vec![0; BINS],
            dead: 0,
        }
    }

    /// Creates the histogram of a weight; `None` if its method has no `log_alpha`.
    pub fn of(weight: &Weight, method: &dyn WeightMethod) -> Option<Self> {
        let log_alpha = method.log_alpha(weight.view())?;
        let mut histogram = Self::empty();
        histogram.dead = (weight.numel() - log_alpha.len()) as u64;
        for (index, log_alpha) in log_alpha.into_iter().enumerate() {
            if weight.is_dead(index) {
                histogram.dead += 1;
            } else {
                histogram.counts[bin(log_alpha)] += 1;
            }
        }
        Some(histogram)
    }

    /// Adds up histograms; `None` if there are none.
    pub fn sum<'a>(histograms: impl Iterator<Item = &'a Self>) -> Option<Self> {
        histograms.fold(None, |sum, histogram| {
            let mut sum = sum.unwrap_or_else(Self::empty);
            sum.dead += histogram.dead;
            for (sum, count) in sum.counts.iter_mut().zip(&histogram.counts) {
                *sum += count;
            }
            Some(sum)
        })
    }
}

/// Returns the bin of a `log_alpha`, clamped to the range.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the result is limited to the last bin"
)]
fn bin(log_alpha: f64) -> usize {
    let width = 2.0 * LOG_ALPHA_DISPLAYED / BINS as f64;
    (((log_alpha + LOG_ALPHA_DISPLAYED) / width) as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use vbd_core::method::vbd;
    use vbd_core::posterior;
    use vbd_core::weight::Parameter;

    use super::*;

    #[test]
    fn every_weight_is_in_one_bin_or_dead() {
        let theta = Parameter::new(vec![1.0, 1.0, 1.0, 0.0, 1e-30, 1.0]);
        let log_sigma2 = Parameter::new(vec![-40.0, 2.5, -0.5, 1.0, 20.0, 5.0]);
        let mut weight = Weight::dense(&[2, 3], theta, vec![posterior::state(log_sigma2)]).unwrap();
        let histogram = Histogram::of(&weight, &*vbd(3.0)).unwrap();
        let filled = |histogram: &Histogram| -> Vec<(usize, u64)> {
            histogram
                .counts
                .iter()
                .copied()
                .enumerate()
                .filter(|&(_, n)| n > 0)
                .collect()
        };
        assert_eq!(
            filled(&histogram),
            [(0, 1), (19, 1), (22, 1), (25, 1), (39, 2)]
        );
        weight.kill(&*vbd(3.0));
        let dense = Histogram::of(&weight, &*vbd(3.0)).unwrap();
        assert_eq!(
            (filled(&dense), dense.dead),
            (vec![(0, 1), (19, 1), (22, 1)], 3)
        );
        assert_eq!(
            Histogram::of(&weight.to_compact(), &*vbd(3.0)),
            Some(dense.clone())
        );
        let sum = Histogram::sum([&histogram, &dense].into_iter()).unwrap();
        assert_eq!(sum.counts.iter().sum::<u64>() + sum.dead, 12);
        assert_eq!(Histogram::sum(std::iter::empty()), None);
    }
}
