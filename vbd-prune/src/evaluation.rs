//! How well a net does on labelled samples.

use serde::Serialize;

/// Errors and cross-entropy over a set of samples.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Evaluation {
    /// Number of samples.
    pub samples: usize,
    /// How many got the wrong class.
    pub wrong: usize,
    /// Sum of the samples' cross-entropies, nats.
    nll_sum: f64,
}

impl Evaluation {
    /// Fraction of samples that got the wrong class, 0..1; 0 without samples.
    pub fn test_error(&self) -> f64 {
        self.wrong as f64 / self.samples.max(1) as f64
    }

    /// Mean cross-entropy, nats.
    pub fn nll(&self) -> f64 {
        self.nll_sum / self.samples.max(1) as f64
    }

    /// Adds a sample; of equal logits the first is the class.
    pub(crate) fn add(&mut self, logits: &[f32], label: usize) {
        let class = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
        self.samples += 1;
        self.wrong += usize::from(class != label);
        let largest = f64::from(logits[class]);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        self.nll_sum += largest + sum.ln() - f64::from(logits[label]);
    }
}

/// The probabilities of logits.
#[expect(clippy::cast_possible_truncation, reason = "probabilities are f32")]
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |&logit: &f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(exp).sum();
    logits.iter().map(|logit| (exp(logit) / sum) as f32).collect()
}
