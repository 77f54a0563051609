//! Soft weight-sharing (Ullrich et al. 2017): a mixture of normals over the weights of all layers, trained with
//! them, and a prior on its precisions.

use std::sync::Arc;

use candle_core::{D, Result as CandleResult, Tensor};
use vbd_core::layers::Masking;
use vbd_core::method::{
    CandleMethod, CpuMethod, DataGradient, EntryView, EntryViewMut, TensorMoments, Update,
    WeightMethod,
};
use vbd_core::step::Step;
use vbd_core::weight::{Scope, State};

use super::{Problem, parameters};

const COMPONENTS: usize = 4;
/// The hyper-prior on each precision lambda: `(1 - a) ln lambda + b lambda`.
const A: f64 = 3.0;
const B: f64 = 0.2;

#[derive(Debug)]
struct SoftSharing;

/// The mixture in f64: means, logarithms of precisions, mixing logits.
#[derive(Clone)]
struct Mixture {
    means: Vec<f64>,
    log_precisions: Vec<f64>,
    logits: Vec<f64>,
}

/// Gradients of the penalty of one weight.
struct Slopes {
    theta: f64,
    components: Vec<[f64; 3]>,
}

impl Mixture {
    fn of(states: &[State]) -> Self {
        let wide = |state: &State| {
            let values = state.parameter.value.iter();
            values.map(|&value| f64::from(value)).collect()
        };
        Self::from_parts(states.iter().map(wide).collect())
    }

    fn from_parts(parts: Vec<Vec<f64>>) -> Self {
        let [means, log_precisions, logits] = parts.try_into().unwrap();
        Self {
            means,
            log_precisions,
            logits,
        }
    }

    fn log_mixing(&self) -> Vec<f64> {
        let sum: f64 = self.logits.iter().map(|logit| logit.exp()).sum();
        self.logits.iter().map(|logit| logit - sum.ln()).collect()
    }

    /// `ln pi_j N(theta; mu_j, 1 / lambda_j)` of each component.
    fn log_terms(&self, theta: f64) -> Vec<f64> {
        let tau = std::f64::consts::TAU;
        let components = self.log_mixing().into_iter().enumerate();
        let term = |(j, log_mixing): (usize, f64)| {
            let (log_precision, distance) = (self.log_precisions[j], theta - self.means[j]);
            let exponent = 0.5 * log_precision.exp() * distance * distance;
            log_mixing + 0.5 * (log_precision - tau.ln()) - exponent
        };
        components.map(term).collect()
    }

    /// `-ln sum_j pi_j N(theta; mu_j, 1 / lambda_j)`.
    fn penalty(&self, theta: f64) -> f64 {
        let terms = self.log_terms(theta).into_iter();
        -terms.map(f64::exp).sum::<f64>().ln()
    }

    fn slopes(&self, theta: f64) -> Slopes {
        let terms: Vec<f64> = self
            .log_terms(theta)
            .iter()
            .map(|term| term.exp())
            .collect();
        let all: f64 = terms.iter().sum();
        let mut slopes = Slopes {
            theta: 0.0,
            components: Vec::new(),
        };
        for (j, term) in terms.iter().enumerate() {
            let responsibility = term / all;
            let precision = self.log_precisions[j].exp();
            let distance = theta - self.means[j];
            slopes.theta += responsibility * precision * distance;
            slopes.components.push([
                -responsibility * precision * distance,
                responsibility * (0.5 * precision * distance * distance - 0.5),
                self.log_mixing()[j].exp() - responsibility,
            ]);
        }
        slopes
    }

    fn hyper_penalty(&self) -> f64 {
        let precisions = self.log_precisions.iter();
        precisions.map(|l| (1.0 - A) * l + B * l.exp()).sum()
    }
}

impl WeightMethod for SoftSharing {
    fn states(&self, _shape: &[usize]) -> Vec<State> {
        Vec::new()
    }

    fn net_states(&self) -> Vec<State> {
        let of = |name, lr_factor, values: [f32; COMPONENTS]| State {
            lr_factor,
            ..State::new(name, Scope::Net(COMPONENTS), values.to_vec())
        };
        vec![
            of("means", 0.2, [0.0, -0.4, 0.1, 0.5]),
            of("log_precisions", 6.0, [4.0, 3.0, 3.0, 3.0]),
            of("logits", 6.0, [2.0, 0.0, 0.1, -0.1]),
        ]
    }
}

impl CpuMethod for SoftSharing {
    fn is_sampled(&self) -> bool {
        false
    }

    fn moments(&self, entries: EntryView<'_>, _active: bool, mean: &mut [f32], _: &mut [f32]) {
        mean.copy_from_slice(entries.theta);
    }

    fn penalty(&self, entries: EntryView<'_>) -> f64 {
        let mixture = Mixture::of(entries.shared);
        let thetas = entries.theta.iter().enumerate();
        let thetas = thetas.filter(|&(index, _)| entries.place(index).is_some());
        thetas
            .map(|(_, &theta)| mixture.penalty(f64::from(theta)))
            .sum()
    }

    fn shared_penalty(&self, shared: &[State]) -> f64 {
        Mixture::of(shared).hyper_penalty()
    }

    fn sums(&self, _shape: &[usize]) -> usize {
        3 * COMPONENTS
    }

    fn gather(&self, entries: EntryView<'_>, _: DataGradient<'_>, _: &[f32], sums: &mut [f64]) {
        let mixture = Mixture::of(entries.shared);
        for (index, &theta) in entries.theta.iter().enumerate() {
            if entries.place(index).is_none() {
                continue;
            }
            let slopes = mixture.slopes(f64::from(theta)).components;
            for (j, slopes) in slopes.into_iter().enumerate() {
                for (part, slope) in slopes.into_iter().enumerate() {
                    sums[part * COMPONENTS + j] += slope;
                }
            }
        }
    }

    fn share(&self, sums: &[f64], shared: &mut [State], update: &Update) -> Vec<f32> {
        let values = shared.iter().flat_map(|state| &state.parameter.value);
        let of_step = values.copied().collect();
        let mut sums = sums.to_vec();
        for (j, &l) in shared[1].parameter.value.iter().enumerate() {
            sums[COMPONENTS + j] += (1.0 - A) + B * f64::from(l).exp();
        }
        for (state, sums) in shared.iter_mut().zip(sums.chunks(COMPONENTS)) {
            let factor = f64::from(update.kl_factor);
            let gradient: Vec<f32> = sums.iter().map(|sum| (factor * sum) as f32).collect();
            let descent = update.descent.without_decay().times(state.lr_factor);
            descent.step(state.parameter.slices_mut(0..COMPONENTS), &gradient);
        }
        of_step
    }

    fn update(
        &self,
        entries: EntryViewMut<'_>,
        data: DataGradient<'_>,
        of_step: &[f32],
        update: &Update,
    ) {
        let parts = of_step.chunks(COMPONENTS);
        let parts = parts.map(|part| part.iter().map(|&value| f64::from(value)).collect());
        let mixture = Mixture::from_parts(parts.collect());
        let range = entries.range.clone();
        let thetas = entries.theta.value[range.clone()].iter().zip(data.theta);
        let gradient = thetas.map(|(&theta, by_data)| {
            let slope = mixture.slopes(f64::from(theta)).theta;
            by_data + (f64::from(update.kl_factor) * slope) as f32
        });
        let gradient: Vec<f32> = gradient.collect();
        let theta = entries.theta.slices_mut(range.clone());
        update.descent.step(theta, &gradient);
        entries.mean.copy_from_slice(&entries.theta.value[range]);
    }
}

impl CandleMethod for SoftSharing {
    fn tensor_moments(
        &self,
        theta: &Tensor,
        _states: &[Tensor],
        _masking: Masking,
    ) -> CandleResult<TensorMoments> {
        Ok(TensorMoments {
            mean: theta.clone(),
            variance: None,
            alive_rows: None,
        })
    }

    fn tensor_kept(&self, theta: &Tensor, _states: &[Tensor]) -> CandleResult<Tensor> {
        Ok(theta.clone())
    }

    fn tensor_penalty(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        let [means, log_precisions, logits] = states else {
            panic!("three states")
        };
        let log_mixing = logits.broadcast_sub(&logits.exp()?.sum_all()?.log()?)?;
        let distance = theta.flatten_all()?.unsqueeze(1)?.broadcast_sub(means)?;
        let exponent = (distance.sqr()?.broadcast_mul(&log_precisions.exp()?)? * 0.5)?;
        let log_scale = ((log_precisions - std::f64::consts::TAU.ln())? * 0.5)?;
        let log_terms = (log_mixing + log_scale)?.broadcast_sub(&exponent)?;
        let log_sum = log_terms.exp()?.sum(D::Minus1)?.log()?;
        log_sum.sum_all()?.neg().map(Some)
    }

    fn tensor_shared_penalty(&self, states: &[Tensor]) -> CandleResult<Option<Tensor>> {
        let log_precisions = &states[1];
        let penalty = ((log_precisions * (1.0 - A))? + (log_precisions.exp()? * B)?)?;
        penalty.sum_all().map(Some)
    }
}

#[test]
fn the_mixture_and_the_weights_train_together_in_both_engines() {
    let method: Arc<dyn WeightMethod> = Arc::new(SoftSharing);
    let start = parameters(&*method);
    let mut problem = Problem::new(&method, &start, 3);
    let mut one_thread = Problem::new(&method, &start, 1);
    let penalty = problem.cpu.kl().unwrap();
    let expected = problem.candle.kl().unwrap();
    assert!(
        (penalty - expected).abs() < 1e-4 * expected.abs(),
        "{penalty} {expected}"
    );
    for step in 0..15 {
        problem.step(step);
        one_thread.step(step);
        problem.assert_engines_agree();
        let after = problem.cpu.parameters().unwrap();
        assert_eq!(after, one_thread.cpu.parameters().unwrap());
    }
    let after = problem.cpu.parameters().unwrap();
    assert!(
        after
            .net
            .iter()
            .zip(&start.net)
            .all(|(after, start)| after != start)
    );
    assert!(problem.cpu.kl().unwrap() < penalty);
}

#[test]
fn the_mixtures_gradients_are_those_of_finite_differences_in_f64() {
    let method: Arc<dyn WeightMethod> = Arc::new(SoftSharing);
    let start = parameters(&*method);
    let mut problem = Problem::new(&method, &start, 2);
    problem.step(0);
    let after = problem.cpu.parameters().unwrap();
    let thetas: Vec<f64> = start
        .layers
        .iter()
        .flat_map(|layer| &layer.weight.theta().value)
        .map(|&theta| f64::from(theta))
        .collect();
    let objective = |mixture: &Mixture| {
        let of_weights: f64 = thetas.iter().map(|&theta| mixture.penalty(theta)).sum();
        (of_weights + mixture.hyper_penalty()) / 60.0
    };
    let mixture = Mixture::of(&start.net);
    for (part, state) in after.net.iter().enumerate() {
        for (j, m) in state.parameter.m.iter().enumerate() {
            let moved = |h: f64| {
                let mut mixture = mixture.clone();
                let Mixture {
                    means,
                    log_precisions,
                    logits,
                } = &mut mixture;
                [means, log_precisions, logits][part][j] += h;
                objective(&mixture)
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let found = 10.0 * f64::from(*m);
            let close = (found - difference).abs() < 1e-5 * (1.0 + difference.abs());
            assert!(close, "{} [{j}]: {found} {difference}", state.name);
        }
    }
    // by theta: the slope of the penalty itself
    for theta in [-0.7, -0.1, 0.0, 0.3] {
        let at = |h: f64| mixture.penalty(theta + h);
        let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((mixture.slopes(theta).theta - difference).abs() < 1e-6);
    }
}
