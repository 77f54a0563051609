//! Squared error of a batch, as a likelihood with unit variance.

use candle_core::{Result as CandleResult, Tensor};
use vbd_net::output::mse::nll;

use crate::kernels::vector::{each_vector, kernel};

kernel! {
    /// Replaces outputs by their errors times `scale` and adds the squared errors to their samples'
    /// sums.
    fn errors<S>(simd, outputs: &mut [f32], targets: &[f32], sums: &mut [f32], scale: f32) {
        let lanes = sums.len();
        let targets = targets.chunks_exact(lanes);
        for (outputs, targets) in outputs.chunks_exact_mut(lanes).zip(targets) {
            each_vector(simd, [outputs, &mut *sums], [targets], #[inline(always)] |[y, sum], [target]| {
                let error = y - target;
                [error * error.like(scale), error.mul_add(error, sum)]
            });
        }
    }
}

/// Returns the batch's summed negative log-likelihood and replaces `outputs` by the gradient of the
/// mean.
///
/// The sum is `0.5 sum of (outputs - targets)^2`, the gradient of the mean `(outputs - targets) /
/// samples`.
///
/// # Shapes
/// - `outputs`, `targets`: `[outputs, lanes]`; lanes beyond the batch get the gradient 0
pub(super) fn gradient(outputs: &mut [f32], targets: &[f32], samples: usize, lanes: usize) -> f64 {
    let mut sums = vec![0.0; lanes];
    errors(outputs, targets, &mut sums, 1.0 / samples as f32);
    for row in outputs.chunks_exact_mut(lanes) {
        row[samples..].fill(0.0);
    }
    nll(sum(&sums[..samples]))
}

/// Returns the batch's squared error, summed over samples and outputs.
///
/// # Shapes
/// - `outputs`, `targets`: `[outputs, lanes]`
pub(super) fn squared_error(outputs: &[f32], targets: &[f32], samples: usize, lanes: usize) -> f64 {
    let mut sums = vec![0.0; lanes];
    errors(&mut outputs.to_vec(), targets, &mut sums, 1.0);
    sum(&sums[..samples])
}

/// Sums in sample order.
fn sum(of_samples: &[f32]) -> f64 {
    of_samples.iter().map(|&sum| f64::from(sum)).sum()
}

/// Returns the batch's summed negative log-likelihood.
///
/// # Shapes
/// - `outputs`, `targets`: `[batch, outputs]`
pub(super) fn nll_sum(outputs: &Tensor, targets: &Tensor) -> CandleResult<Tensor> {
    (outputs - targets)?.sqr()?.sum_all()? * nll(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::width::same_bits;
    use crate::kernels::test_values;

    #[test]
    fn losses_and_gradients_are_those_in_f64_on_every_width() {
        let (outputs, lanes, samples) = (13, 40, 37);
        let values = test_values(5, outputs * lanes);
        let targets: Vec<f32> = test_values(6, outputs * lanes)
            .iter()
            .map(|x| 3.0 * x)
            .collect();
        let (found, gradients) = same_bits(|| {
            let mut gradients = values.clone();
            (
                gradient(&mut gradients, &targets, samples, lanes),
                gradients,
            )
        });
        let error = same_bits(|| squared_error(&values, &targets, samples, lanes));
        assert_eq!(found.to_bits(), nll(error).to_bits());
        let mut sum = 0.0;
        for sample in 0..samples {
            let column = |values: &[f32]| -> Vec<f32> {
                values[sample..].iter().step_by(lanes).copied().collect()
            };
            let (values, targets) = (column(&values), column(&targets));
            sum += vbd_net::output::mse::squared_error(&values, &targets);
            for ((value, target), gradient) in values.iter().zip(&targets).zip(column(&gradients)) {
                let expected = (f64::from(*value) - f64::from(*target)) / samples as f64;
                assert!((f64::from(gradient) - expected).abs() < 1e-7);
            }
        }
        assert!((error - sum).abs() < 1e-6 * sum, "{error} {sum}");
        let padding = gradients
            .chunks_exact(lanes)
            .flat_map(|row| &row[samples..]);
        assert!(padding.into_iter().all(|g| *g == 0.0));
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (lanes, samples) = (8, 5);
        let values = test_values(1, 3 * lanes);
        let targets = test_values(2, 3 * lanes);
        let mut gradients = values.clone();
        gradient(&mut gradients, &targets, samples, lanes);
        for place in 0..values.len() {
            let moved = |h: f32| {
                let mut values = values.clone();
                values[place] += h;
                gradient(&mut values, &targets, samples, lanes) / samples as f64
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(gradients[place]) - difference).abs() < 1e-5);
        }
    }
}
