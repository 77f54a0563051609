//! Gradients by finite differences in f64, and the moments of outputs.

#![expect(
    clippy::cast_possible_truncation,
    reason = "computed in f64, trained in f32"
)]

use candle_core::{Device, Tensor};

use super::*;
use crate::kernels::test_values;
use crate::layers::{LinearMap, sample};
use crate::noise::{NoiseKey, Stream};
use crate::optim::Optimizer;
use crate::step::At;
use crate::weight::{Parameter, Weight};

const SHAPE: [usize; 2] = [3, 41];
const KL_FACTOR: f32 = 0.03;

fn method(prior: Option<Prior>, by_row: bool) -> SharedAlpha {
    SharedAlpha {
        prior,
        by_row,
        log_alpha: -0.7,
        is_learned: true,
    }
}

fn update() -> Update {
    Update {
        kl_factor: KL_FACTOR,
        descent: Optimizer::Adam.at(1e-3, 0),
        active: true,
        at: At {
            seed: 0,
            step: 0,
            lr: 1e-3,
            kl_scale: 1.0,
        },
    }
}

/// A data term of each entry's mean and variance, and its gradients by both: any smooth function will do.
fn data_term(index: usize, mean: f64, variance: f64) -> (f64, [f64; 2]) {
    let c = 0.3 + 0.1 * (index % 7) as f64;
    let value = c * mean * mean * variance + (mean - variance).sin();
    let slope = (mean - variance).cos();
    let by_mean = 2.0 * c * mean * variance + slope;
    (value, [by_mean, c * mean * mean - slope])
}

/// The objective in f64: data term and KL, a weight at a time.
fn objective(prior: Option<Prior>, by_row: bool, theta: &[f64], log_alpha: &[f64]) -> f64 {
    let entries = theta.iter().enumerate().map(|(index, &theta)| {
        let log_alpha = log_alpha[if by_row { index / SHAPE[1] } else { 0 }];
        let (data, _) = data_term(index, theta, log_alpha.exp() * theta * theta);
        data + f64::from(KL_FACTOR) * prior.map_or(0.0, |prior| prior.kl(log_alpha))
    });
    entries.sum()
}

#[test]
fn gradients_are_those_of_finite_differences_in_f64() {
    let priors = [
        None,
        Some(Prior::Hierarchical),
        Some(Prior::LogUniform),
        Some(Prior::Polynomial),
    ];
    for (prior, by_row) in priors.into_iter().flat_map(|p| [(p, true), (p, false)]) {
        let method = method(prior, by_row);
        let numel = SHAPE.iter().product();
        let mut theta = Parameter::new(test_values(3, numel));
        let mut shared = method.states(&SHAPE);
        let spread = test_values(4, shared[0].parameter.value.len());
        // At most 0 for the polynomial, with room for the differences.
        let most = if prior == Some(Prior::Polynomial) {
            -0.1
        } else {
            20.0
        };
        let log_alphas = spread.iter().map(|x| (2.0 * x - 0.5).min(most));
        shared[0].parameter.value = log_alphas.collect();
        let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (theta_64, log_alpha_64) = (wide(&theta.value), wide(&shared[0].parameter.value));

        let places: Vec<u32> = (0..u32::try_from(numel).unwrap()).collect();
        let (mut mean, mut variance) = (vec![0.0; numel], vec![0.0; numel]);
        let weight = Weight::dense(&SHAPE, theta.clone(), shared.clone()).unwrap();
        method.moments(weight.view(), true, &mut mean, &mut variance);
        let terms = (0..numel).map(|i| data_term(i, f64::from(mean[i]), f64::from(variance[i])).1);
        let (by_mean, by_variance): (Vec<f32>, Vec<f32>) = terms
            .map(|[mean, variance]| (mean as f32, variance as f32))
            .unzip();
        let data = DataGradient {
            theta: &by_mean,
            sigma2: &by_variance,
        };
        let mut sums = vec![0.0; method.sums(&SHAPE)];
        method.gather(weight.view(), data, &variance, &mut sums);
        let of_step = method.share(&sums, &mut shared, &update());
        let entries = EntryViewMut {
            shape: &SHAPE,
            places: &places,
            rows: &[],
            range: 0..numel,
            theta: &mut theta,
            own: &mut [],
            shared: &shared,
            mean: &mut mean,
            variance: &mut variance,
        };
        method.update(entries, data, &of_step, &update());

        let at = |theta: &[f64], log_alpha: &[f64]| objective(prior, by_row, theta, log_alpha);
        let difference = |values: &[f64], index: usize, at: &dyn Fn(&[f64]) -> f64| {
            let moved = |h: f64| {
                let mut values = values.to_vec();
                values[index] += h;
                at(&values)
            };
            (moved(1e-5) - moved(-1e-5)) / 2e-5
        };
        // After the first step from zero moments, m is a tenth of the gradient.
        for (index, m) in theta.m.iter().enumerate() {
            let expected = difference(&theta_64, index, &|theta| at(theta, &log_alpha_64));
            let found = 10.0 * f64::from(*m);
            let error = (found - expected).abs();
            assert!(
                error < 2e-5 * (1.0 + expected.abs()),
                "theta[{index}]: {found} {expected}"
            );
        }
        for (index, m) in shared[0].parameter.m.iter().enumerate() {
            let expected = difference(&log_alpha_64, index, &|l| at(&theta_64, l));
            let found = 10.0 * f64::from(*m);
            let error = (found - expected).abs();
            assert!(
                error < 1e-4 * (1.0 + expected.abs()),
                "alpha[{index}]: {found} {expected}"
            );
        }
        // the next step uses the moments of the updated states
        let weight = Weight::dense(&SHAPE, theta.clone(), shared).unwrap();
        let (mut mean_again, mut variance_again) = (vec![0.0; numel], vec![0.0; numel]);
        method.moments(weight.view(), true, &mut mean_again, &mut variance_again);
        assert_eq!((mean_again, variance_again), (mean, variance));
    }
}

#[test]
fn outputs_have_the_mean_and_the_variance_of_fast_dropout() {
    let alpha = 0.25_f64;
    let method = SharedAlpha {
        prior: None,
        by_row: false,
        log_alpha: alpha.ln() as f32,
        is_learned: false,
    };
    let (theta, x) = (test_values(1, 2 * 5), test_values(2, 5));
    let samples = 40_000;
    let tensor = Tensor::from_vec(theta.clone(), (2, 5), &Device::Cpu).unwrap();
    let moments = method.tensor_moments(&tensor, &[], Masking::On).unwrap();
    let inputs = Tensor::from_vec(x.repeat(samples), (samples, 5), &Device::Cpu).unwrap();
    let key = NoiseKey {
        seed: 5,
        step: 0,
        stream: Stream::Layer(0),
    };
    let y = sample(&LinearMap, &inputs, &moments, None, key).unwrap();
    let y = y.to_vec2::<f32>().unwrap();
    for (unit, theta) in theta.chunks(5).enumerate() {
        let products = theta.iter().zip(&x).map(|(theta, x)| f64::from(theta * x));
        let products: Vec<f64> = products.collect();
        let expected_mean: f64 = products.iter().sum();
        let expected_variance = alpha * products.iter().map(|p| p * p).sum::<f64>();
        let outputs = || y.iter().map(|row| f64::from(row[unit]));
        let mean = outputs().sum::<f64>() / samples as f64;
        let variance = outputs().map(|y| (y - mean).powi(2)).sum::<f64>() / samples as f64;
        let deviation = expected_variance.sqrt();
        assert!(
            (mean - expected_mean).abs() < 0.02 * deviation,
            "{mean} {expected_mean}"
        );
        assert!(
            (variance / expected_variance - 1.0).abs() < 0.03,
            "{variance} {expected_variance}"
        );
    }
}

#[test]
fn with_the_polynomial_kl_alpha_stays_at_1_or_less() {
    let method = method(Some(Prior::Polynomial), false);
    let mut shared = method.states(&SHAPE);
    shared[0].parameter.value = vec![-1e-4];
    // A gradient that wants more noise.
    method.share(&[-100.0, 1.0], &mut shared, &update());
    assert!(shared[0].parameter.value[0].abs() < 1e-9);
}

#[test]
fn the_kl_counts_once_a_weight_that_is_not_0() {
    let method = method(Some(Prior::Hierarchical), true);
    let mut theta = test_values(3, SHAPE.iter().product());
    theta[7] = 0.0;
    let mut shared = method.states(&SHAPE);
    shared[0].parameter.value = vec![-1.0, 0.0, 2.0];
    let weight = Weight::dense(&SHAPE, Parameter::new(theta), shared).unwrap();
    let kl = |log_alpha| Prior::Hierarchical.kl(log_alpha);
    let expected = 40.0 * kl(-1.0) + 41.0 * (kl(0.0) + kl(2.0));
    assert!((method.penalty(weight.view()) - expected).abs() < 1e-9);
}
