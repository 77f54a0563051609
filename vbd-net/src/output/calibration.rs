//! How good a classifier's probabilities are: expected calibration error and Brier score.

use serde::Serialize;

/// Number of bins of confidence (Guo et al. 2017).
const BINS: usize = 15;

/// Accumulates the calibration of a classifier.
///
/// ```
/// use vbd_net::output::Calibration;
///
/// let mut calibration = Calibration::default();
/// calibration.add(&[0.8, 0.2], 0);
/// calibration.add(&[0.8, 0.2], 1);
/// assert!((calibration.ece() - 0.3).abs() < 1e-12);
/// assert!((calibration.brier() - 0.5 * (0.08 + 1.28)).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calibration {
    samples: usize,
    brier_sum: f64,
    bins: [Sums; BINS],
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sums {
    samples: usize,
    right: usize,
    confidence: f64,
}

/// Samples whose confidence, the largest probability, is in a bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ConfidenceBin {
    /// Number of samples.
    pub samples: usize,
    /// Mean confidence, 0 to 1.
    pub confidence: f64,
    /// Fraction of samples that are right.
    pub accuracy: f64,
}

impl Calibration {
    /// Adds a sample by the probabilities of the classes, which sum to 1. The first of equal largest ones
    /// is the answer.
    ///
    /// # Panics
    /// If `label` is out of range.
    pub fn add(&mut self, probabilities: &[f64], label: usize) {
        assert!(label < probabilities.len(), "a label is one of the classes");
        let confidence = probabilities.iter().copied().fold(0.0, f64::max);
        let answer = probabilities.iter().position(|&p| p >= confidence);
        // Bins are open below and closed above; the first one has 0 too.
        let upper = |bin: usize| (bin + 1) as f64 / BINS as f64;
        let bin = (0..BINS - 1).find(|&bin| confidence <= upper(bin));
        let bin = &mut self.bins[bin.unwrap_or(BINS - 1)];
        bin.samples += 1;
        bin.right += usize::from(answer == Some(label));
        bin.confidence += confidence;
        let squares = probabilities.iter().enumerate().map(|(class, p)| {
            let target = if class == label { 1.0 } else { 0.0 };
            (p - target).powi(2)
        });
        self.brier_sum += squares.sum::<f64>();
        self.samples += 1;
    }

    /// Returns the number of misclassified samples.
    pub fn wrong(&self) -> usize {
        let right = self.bins.iter().map(|bin| bin.right).sum::<usize>();
        self.samples - right
    }

    /// Returns the bins that have samples, from low to high confidence.
    pub fn bins(&self) -> Vec<ConfidenceBin> {
        let filled = self.bins.iter().filter(|bin| bin.samples > 0);
        let bins = filled.map(|bin| ConfidenceBin {
            samples: bin.samples,
            confidence: bin.confidence / bin.samples as f64,
            accuracy: bin.right as f64 / bin.samples as f64,
        });
        bins.collect()
    }

    /// Returns the expected calibration error: the difference between confidence and accuracy of a bin,
    /// averaged over samples, with 15 bins of equal width.
    pub fn ece(&self) -> f64 {
        let terms = self.bins().into_iter().map(|bin| {
            let share = bin.samples as f64 / self.samples as f64;
            share * (bin.accuracy - bin.confidence).abs()
        });
        terms.sum()
    }

    /// Returns the Brier score: the squared error of the probabilities, summed over classes and averaged over
    /// samples.
    pub fn brier(&self) -> f64 {
        self.brier_sum / self.samples.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_closed_above_and_sum_up() {
        let mut calibration = Calibration::default();
        for (confidence, label) in [(0.6, 0), (0.6, 1), (0.61, 0), (1.0, 0)] {
            calibration.add(&[confidence, 1.0 - confidence], label);
        }
        let bins = calibration.bins();
        // 0.6 is the upper end of the ninth bin.
        assert_eq!(
            bins.iter().map(|bin| bin.samples).collect::<Vec<_>>(),
            [2, 1, 1]
        );
        assert!((bins[0].accuracy - 0.5).abs() < 1e-12);
        let expected = (2.0 * 0.1 + 0.39 + 0.0) / 4.0;
        assert!((calibration.ece() - expected).abs() < 1e-12);
        let brier = (0.32 + 0.72 + 2.0 * 0.39 * 0.39 + 0.0) / 4.0;
        assert!((calibration.brier() - brier).abs() < 1e-12);
        assert!(Calibration::default().ece().abs() < 1e-12);
    }

    #[test]
    fn draws_from_the_probabilities_themselves_are_calibrated() {
        let mut draws = crate::testing::Draws(5);
        let mut calibration = Calibration::default();
        for _ in 0..40_000 {
            let p = 0.5 + 0.5 * f64::from(draws.below(1000) as f32) / 1000.0;
            let label = usize::from(draws.below(1_000_000) as f64 / 1e6 >= p);
            calibration.add(&[p, 1.0 - p], label);
        }
        assert!(calibration.ece() < 0.01, "{}", calibration.ece());
    }
}
