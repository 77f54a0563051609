//! Squared error: summed as a likelihood, averaged in reports.

use super::{Constancy, Evaluation};

/// Computes the squared error of one sample, summed over outputs.
///
/// # Shapes
/// - `outputs`, `targets`: `[output_len]`
pub fn squared_error(outputs: &[f32], targets: &[f32]) -> f64 {
    let errors = outputs.iter().zip(targets);
    errors
        .map(|(&output, &target)| (f64::from(output) - f64::from(target)).powi(2))
        .sum()
}

/// Returns the negative log-likelihood with unit variance in nats, without its constant: half the
/// squared error.
///
/// `-ln N(target; output, 1) = 0.5 (output - target)^2 + const`, summed over outputs.
pub fn nll(squared_error: f64) -> f64 {
    0.5 * squared_error
}

/// Accumulates the evaluation of a net with a squared error.
#[derive(Debug, Default)]
pub struct SquaredErrors {
    samples: usize,
    outputs: usize,
    sum: f64,
    constancy: Constancy,
}

impl SquaredErrors {
    /// Adds samples with `outputs` outputs each and their total squared error.
    pub fn add(&mut self, samples: usize, outputs: usize, squared_error: f64) {
        self.samples += samples;
        self.outputs += samples * outputs;
        self.sum += squared_error;
    }

    /// Compares the outputs of a sample with those of the first one.
    pub fn compare(&mut self, outputs: impl Iterator<Item = f32>) {
        self.constancy.add(outputs);
    }

    /// Returns the evaluation.
    pub fn finish(self) -> Evaluation {
        Evaluation::Values {
            samples: self.samples,
            loss: self.sum / self.outputs.max(1) as f64,
            is_constant: self.constancy.is_constant(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_mean_over_outputs_and_the_nll_half_of_the_sum() {
        let error = squared_error(&[1.0, -2.0, 0.5], &[0.0, 1.0, 0.5]);
        assert_eq!((error, nll(error)), (10.0, 5.0));
        let mut errors = SquaredErrors::default();
        errors.add(1, 3, error);
        errors.add(2, 3, 2.0);
        let evaluation = errors.finish();
        assert_eq!(evaluation.samples(), 3);
        assert_eq!(evaluation.test_loss(), Some(12.0 / 9.0));
        assert_eq!((evaluation.test_error(), evaluation.nll()), (None, None));
        assert_eq!(SquaredErrors::default().finish().test_loss(), Some(0.0));
    }
}
