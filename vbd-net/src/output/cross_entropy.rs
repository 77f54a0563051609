//! Classification: probabilities, errors, and cross-entropy in nats.

use super::{Constancy, Evaluation};

/// Accumulates the evaluation of a classifier.
#[derive(Debug, Default)]
pub struct Score {
    samples: usize,
    wrong: usize,
    nll_sum: f64,
    constancy: Constancy,
}

impl Score {
    /// Adds a sample. The first of equal largest logits is the class.
    ///
    /// # Panics
    /// If `label` is out of range.
    pub fn add(&mut self, logits: &[f32], label: usize) {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let class = logits.iter().position(|&logit| logit >= largest);
        self.samples += 1;
        self.constancy.add(logits.iter().copied());
        self.wrong += usize::from(class != Some(label));
        let sum: f64 = logits
            .iter()
            .map(|&logit| f64::from(logit - largest).exp())
            .sum();
        self.nll_sum += sum.ln() - f64::from(logits[label] - largest);
    }

    /// Returns the evaluation.
    pub fn finish(self) -> Evaluation {
        Evaluation::Classes {
            samples: self.samples,
            wrong: self.wrong,
            nll: self.nll_sum / self.samples.max(1) as f64,
            is_constant: self.constancy.is_constant(),
        }
    }
}

/// Computes the softmax of logits.
#[expect(clippy::cast_possible_truncation, reason = "probabilities are f32")]
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |&logit: &f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(exp).sum();
    logits
        .iter()
        .map(|logit| (exp(logit) / sum) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_counts_errors_and_nats() {
        let mut score = Score::default();
        score.add(&[0.0, 0.0], 0);
        score.add(&[1000.0, -1000.0], 0);
        score.add(&[0.0, 0.0, 0.0, 0.0], 3);
        let evaluation = score.finish();
        assert_eq!(evaluation.samples(), 3);
        assert_eq!(evaluation.wrong(), Some(1));
        assert_eq!(evaluation.test_error(), Some(1.0 / 3.0));
        assert_eq!(evaluation.test_loss(), None);
        assert!((evaluation.nll().unwrap() - 8.0_f64.ln() / 3.0).abs() < 1e-12);
        assert_eq!(Score::default().finish().nll(), Some(0.0));
        assert_eq!(softmax(&[1000.0, 1000.0]), [0.5, 0.5]);
    }
}
