//! Softmax and cross-entropy of a batch.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::ops::log_softmax;

use crate::kernels::math;
use crate::kernels::vector::{each_vector, kernel};

/// Intermediate values of a softmax over a batch, `[lanes]` each.
#[derive(Default)]
struct Softmax {
    /// Largest logit of each sample.
    largest: Vec<f32>,
    /// Logarithm of the sum of `e^(logit - largest)`.
    log_sum: Vec<f32>,
}

impl Softmax {
    /// Converts logits to probabilities in place, `[classes, lanes]`.
    fn of(logits: &mut [f32], lanes: usize) -> Self {
        let mut softmax = Self {
            largest: logits[..lanes].to_vec(),
            log_sum: vec![0.0; lanes],
        };
        probabilities(logits, &mut softmax.largest, &mut softmax.log_sum);
        softmax
    }

    /// Returns the cross-entropy of a sample in nats; `logit` is that of its label.
    fn nll(&self, sample: usize, logit: f32) -> f64 {
        f64::from(self.log_sum[sample]) - f64::from(logit - self.largest[sample])
    }
}

kernel! {
    /// Kernel of [`Softmax::of`]. On entry, `largest` holds the first class's logits and `log_sum`
    /// zeros.
    fn probabilities<S>(simd, logits: &mut [f32], largest: &mut [f32], log_sum: &mut [f32]) {
        let lanes = largest.len();
        for logits in logits.chunks_exact(lanes).skip(1) {
            each_vector(simd, [&mut *largest], [logits], #[inline(always)] |[most], [x]| {
                // NaN is propagated, so that the loss shows it.
                let larger = most.less_than(x).select(x, most);
                [x.equals(x).select(larger, x)]
            });
        }
        for logits in logits.chunks_exact_mut(lanes) {
            each_vector(simd, [logits, &mut *log_sum], [&*largest], #[inline(always)] |[x, sum], [most]| {
                let power = math::exp(x - most);
                [power, sum + power]
            });
        }
        for logits in logits.chunks_exact_mut(lanes) {
            each_vector(simd, [logits], [&*log_sum], #[inline(always)] |[power], [sum]| [power / sum]);
        }
        each_vector(simd, [log_sum], [], #[inline(always)] |[sum], []| [math::ln(sum)]);
    }
}

/// Returns the batch's summed cross-entropy in nats and replaces `logits` by the gradient of the
/// mean.
///
/// # Shapes
/// - `logits`: `[classes, lanes]`; `labels`: `[batch]`, each below `classes`; lanes beyond the batch
///   get the gradient 0
pub(super) fn gradient(logits: &mut [f32], labels: &[u8], lanes: usize) -> f64 {
    let scale = 1.0 / labels.len() as f32;
    for row in logits.chunks_exact_mut(lanes) {
        row[labels.len()..].fill(0.0);
    }
    let place = |(sample, &label): (usize, &u8)| usize::from(label) * lanes + sample;
    let places = labels.iter().enumerate().map(place);
    let of_labels: Vec<f32> = places.clone().map(|place| logits[place]).collect();
    let softmax = Softmax::of(logits, lanes);
    for place in places {
        logits[place] -= 1.0;
    }
    for row in logits.chunks_exact_mut(lanes) {
        let (own, padding) = row.split_at_mut(labels.len());
        for g in own {
            *g *= scale;
        }
        padding.fill(0.0);
    }
    let nlls = of_labels.into_iter().enumerate();
    nlls.map(|(sample, logit)| softmax.nll(sample, logit)).sum()
}

/// Classification results of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score {
    /// Summed cross-entropy in nats.
    pub(super) nll_sum: f64,
    /// Number of misclassified samples. The first of equal largest logits is the class.
    pub(super) wrong: usize,
}

/// Scores a batch.
///
/// # Shapes
/// - `logits`: `[classes, lanes]`; `labels`: `[batch]`
pub(super) fn score(logits: &[f32], labels: &[u8], lanes: usize) -> Score {
    let softmax = Softmax::of(&mut logits.to_vec(), lanes);
    let mut score = Score {
        nll_sum: 0.0,
        wrong: 0,
    };
    for (sample, &label) in labels.iter().enumerate() {
        let column = || logits[sample..].iter().step_by(lanes).copied();
        let label = usize::from(label);
        score.nll_sum += softmax.nll(sample, logits[label * lanes + sample]);
        let largest = softmax.largest[sample];
        score.wrong += usize::from(column().position(|logit| logit >= largest) != Some(label));
    }
    score
}

/// Returns the batch's summed cross-entropy in nats.
///
/// # Shapes
/// - `logits`: `[batch, classes]`; `labels`: `[batch, 1]`
pub(super) fn nll_sum(logits: &Tensor, labels: &Tensor) -> CandleResult<Tensor> {
    let log_probabilities = log_softmax(logits, 1)?;
    log_probabilities.gather(labels, 1)?.sum_all()?.neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let labels = [2, 0, 1, 2, 1];
        let logits: Vec<f32> = (0..15).map(|i| ((i * 7) % 11) as f32 * 0.3 - 1.0).collect();
        let mut gradient = logits.clone();
        super::gradient(&mut gradient, &labels, 5);
        for (i, &found) in gradient.iter().enumerate() {
            let moved = |h: f32| {
                let mut logits = logits.clone();
                logits[i] += h;
                super::gradient(&mut logits, &labels, 5) / 5.0
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (f64::from(found) - difference).abs() < 1e-4,
                "{i}: {found} {difference}"
            );
        }
    }

    #[test]
    fn scores_count_the_first_of_equal_logits() {
        // two classes, three samples
        let Score { nll_sum, wrong } = score(&[1.0, 0.0, 0.0, 1.0, 0.0, 2.0], &[0, 0, 0], 3);
        assert_eq!(wrong, 1);
        let expected = 2.0 * 2.0_f64.ln() + (1.0 + 2.0_f64.exp()).ln();
        assert!((nll_sum - expected).abs() < 1e-6);
    }

    #[test]
    fn losses_and_gradients_are_those_in_f64_on_every_width() {
        let (classes, lanes) = (7, 40);
        let logits: Vec<f32> = test_values(3, classes * lanes)
            .iter()
            .map(|x| 9.0 * x)
            .collect();
        let labels: Vec<u8> = (0..37).map(|sample| sample % 7).collect();
        let (nll_sum, gradient) = same_bits(|| {
            let mut gradient = logits.clone();
            (super::gradient(&mut gradient, &labels, lanes), gradient)
        });
        let scored = same_bits(|| score(&logits, &labels, lanes));
        assert_eq!(scored.nll_sum.to_bits(), nll_sum.to_bits());
        let mut sum = 0.0;
        for (sample, &label) in labels.iter().enumerate() {
            let logit = |class: usize| f64::from(logits[class * lanes + sample]);
            let total: f64 = (0..classes).map(|class| logit(class).exp()).sum();
            sum += total.ln() - logit(usize::from(label));
            for class in 0..classes {
                let target = f64::from(u8::from(class == usize::from(label)));
                let expected = (logit(class).exp() / total - target) / labels.len() as f64;
                let found = f64::from(gradient[class * lanes + sample]);
                assert!((found - expected).abs() < 1e-7, "{found} {expected}");
            }
        }
        assert!((nll_sum - sum).abs() < 1e-5 * sum);
        let padding = gradient
            .chunks_exact(lanes)
            .flat_map(|row| &row[labels.len()..]);
        assert!(padding.into_iter().all(|g| *g == 0.0));
    }
}
