//! Gradients by finite differences in f64, on every width.

#![expect(
    clippy::cast_possible_truncation,
    reason = "computed in f64, trained in f32"
)]

use super::*;
use crate::kernels::dispatch::width::same_bits;
use crate::kernels::test_values;
use crate::optim::Optimizer;
use crate::step::At;
use crate::weight::{Parameter, Weight};

const SHAPE: [usize; 2] = [3, 41];
const KL_FACTOR: f32 = 0.03;

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

/// Data term and KL of a weight. The data term is any smooth function of mean and variance.
fn objective(index: usize, theta: f64, log_alpha: f64) -> f64 {
    let c = 0.3 + 0.1 * (index % 7) as f64;
    let variance = log_alpha.exp() * theta * theta;
    let data = c * theta * theta * variance + (theta - variance).sin();
    data + f64::from(KL_FACTOR) * PRIOR.kl(log_alpha)
}

/// The data term's gradients with respect to mean and variance.
fn data_gradient(index: usize, mean: f64, variance: f64) -> [f64; 2] {
    let c = 0.3 + 0.1 * (index % 7) as f64;
    let slope = (mean - variance).cos();
    [2.0 * c * mean * variance + slope, c * mean * mean - slope]
}

#[test]
fn gradients_are_those_of_finite_differences_in_f64() {
    let method = BoundedAlpha { log_alpha: -0.7 };
    let numel = SHAPE.iter().product();
    let theta = Parameter::new(test_values(3, numel));
    let mut own = method.states(&SHAPE);
    let spread = test_values(4, numel);
    own[0].parameter.value = spread.iter().map(|x| (2.0 * x - 1.0).min(-0.01)).collect();
    let places: Vec<u32> = (0..u32::try_from(numel).unwrap()).collect();
    let weight = Weight::dense(&SHAPE, theta.clone(), own.clone()).unwrap();
    let (mut mean, mut variance) = (vec![0.0; numel], vec![0.0; numel]);
    method.moments(weight.view(), true, &mut mean, &mut variance);
    let gradients = (0..numel)
        .map(|i| data_gradient(i, f64::from(mean[i]), f64::from(variance[i])))
        .map(|[mean, variance]| (mean as f32, variance as f32));
    let (by_mean, by_variance): (Vec<f32>, Vec<f32>) = gradients.unzip();
    let data = DataGradient {
        theta: &by_mean,
        sigma2: &by_variance,
    };
    let (old_theta, old) = (theta, own);
    let (theta, own, moments) = same_bits(|| {
        let (mut theta, mut own) = (old_theta.clone(), old.clone());
        let (mut mean, mut variance) = (mean.clone(), variance.clone());
        let entries = EntryViewMut {
            shape: &SHAPE,
            places: &places,
            rows: &[],
            range: 0..numel,
            theta: &mut theta,
            own: &mut own,
            shared: &[],
            mean: &mut mean,
            variance: &mut variance,
        };
        method.update(entries, data, &[], &update());
        (theta, own, [mean, variance])
    });
    for index in 0..numel {
        let theta_64 = f64::from(old_theta.value[index]);
        let log_alpha = f64::from(old[0].parameter.value[index]);
        let h = 1e-5;
        let by = |at: &dyn Fn(f64) -> f64| (at(h) - at(-h)) / (2.0 * h);
        // After the first step from zero moments, m is a tenth of the gradient.
        for (found, expected) in [
            (
                theta.m[index],
                by(&|h| objective(index, theta_64 + h, log_alpha)),
            ),
            (
                own[0].parameter.m[index],
                by(&|h| objective(index, theta_64, log_alpha + h)),
            ),
        ] {
            let found = 10.0 * f64::from(found);
            let error = (found - expected).abs();
            assert!(
                error < 2e-5 * (1.0 + expected.abs()),
                "{index}: {found} {expected}"
            );
        }
    }
    assert!(own[0].parameter.value.iter().all(|&l| l <= 0.0));
    // The next step uses the moments of the updated states.
    let weight = Weight::dense(&SHAPE, theta, own).unwrap();
    let (mut mean, mut variance) = (vec![0.0; numel], vec![0.0; numel]);
    method.moments(weight.view(), true, &mut mean, &mut variance);
    assert_eq!([mean, variance], moments);
}

#[test]
fn a_weight_that_is_0_has_no_kl() {
    let method = BoundedAlpha { log_alpha: -0.7 };
    let mut theta = test_values(3, SHAPE.iter().product());
    theta[7] = 0.0;
    let states = method.states(&SHAPE);
    let weight = Weight::dense(&SHAPE, Parameter::new(theta), states).unwrap();
    let expected = 122.0 * PRIOR.kl(f64::from(-0.7_f32));
    assert!((method.penalty(weight.view()) - expected).abs() < 1e-9);
}
