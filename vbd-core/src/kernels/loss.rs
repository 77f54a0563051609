//! Softmax and cross-entropy of a batch.

/// The sum of the batch's cross-entropies in nats; `logits` becomes the gradient of their mean.
///
/// # Shapes
/// - `logits`: `[classes, lanes]`; `labels`: `[batch]`, each below `classes`; lanes beyond the batch
///   get the gradient 0
pub(crate) fn cross_entropy(logits: &mut [f32], labels: &[u8], lanes: usize) -> f64 {
    let scale = 1.0 / labels.len() as f32;
    let mut nll_sum = 0.0;
    for row in logits.chunks_exact_mut(lanes) {
        row[labels.len()..].fill(0.0);
    }
    for (sample, &label) in labels.iter().enumerate() {
        let column = || (sample..logits.len()).step_by(lanes);
        let largest = column()
            .map(|i| logits[i])
            .fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = column().map(|i| (logits[i] - largest).exp()).sum();
        let label = usize::from(label) * lanes + sample;
        nll_sum += f64::from(sum.ln()) - f64::from(logits[label] - largest);
        for i in column() {
            let probability = (logits[i] - largest).exp() / sum;
            let target = if i == label { 1.0 } else { 0.0 };
            logits[i] = (probability - target) * scale;
        }
    }
    nll_sum
}

/// The sum of the batch's cross-entropies in nats, and how many samples have another class than
/// their label's on top (of equal logits the first counts).
///
/// # Shapes
/// - `logits`: `[classes, lanes]`; `labels`: `[batch]`
pub(crate) fn score(logits: &[f32], labels: &[u8], lanes: usize) -> (f64, usize) {
    let (mut nll_sum, mut wrong) = (0.0, 0);
    for (sample, &label) in labels.iter().enumerate() {
        let column = || logits[sample..].iter().step_by(lanes).copied();
        let largest = column().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = column().map(|logit| (logit - largest).exp()).sum();
        let label = usize::from(label);
        nll_sum += f64::from(sum.ln()) - f64::from(logits[label * lanes + sample] - largest);
        wrong += usize::from(column().position(|logit| logit >= largest) != Some(label));
    }
    (nll_sum, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let labels = [2, 0, 1, 2, 1];
        let logits: Vec<f32> = (0..15).map(|i| ((i * 7) % 11) as f32 * 0.3 - 1.0).collect();
        let mut gradient = logits.clone();
        cross_entropy(&mut gradient, &labels, 5);
        for (i, &found) in gradient.iter().enumerate() {
            let moved = |h: f32| {
                let mut logits = logits.clone();
                logits[i] += h;
                cross_entropy(&mut logits, &labels, 5) / 5.0
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
        let (nll_sum, wrong) = score(&[1.0, 0.0, 0.0, 1.0, 0.0, 2.0], &[0, 0, 0], 3);
        assert_eq!(wrong, 1);
        let expected = 2.0 * 2.0_f64.ln() + (1.0 + 2.0_f64.exp()).ln();
        assert!((nll_sum - expected).abs() < 1e-6);
    }
}
