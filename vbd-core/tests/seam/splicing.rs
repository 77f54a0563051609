//! Dynamic network surgery (Guo et al. 2016): a mask by two thresholds of each weight, fixed at the first step; the
//! optimiser moves pruned entries too, and they may return.

use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};
use vbd_core::layers::Masking;
use vbd_core::method::{
    CandleMethod, CpuMethod, DataGradient, EntryView, EntryViewMut, TensorMoments, Update,
    WeightMethod,
};
use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::recipe::{Method, MethodKind};
use vbd_core::step::Step;
use vbd_core::weight::{Parameter, Parameters, Scope, State, Weight};

use super::{Problem, parameters, spec};

#[derive(Debug)]
struct Splicing {
    /// The threshold is the mean of |theta| plus this many deviations.
    c: f64,
    /// How fast masks stop changing.
    gamma: f64,
}

const METHOD: Splicing = Splicing { c: 0.4, gamma: 0.1 };

impl Splicing {
    /// Whether masks change at this step: with probability `1 / (1 + gamma step)`, a draw a step.
    fn changes(&self, update: &Update) -> bool {
        let key = NoiseKey {
            seed: update.at.seed,
            step: update.at.step,
            stream: Stream::Other(77),
        };
        let mut draw = [0.0];
        key.fill_uniform(0, &mut draw);
        f64::from(draw[0]) <= 1.0 / (1.0 + self.gamma * f64::from(update.at.step))
    }

    fn threshold(&self, count: f64, sum: f64, squares: f64) -> f32 {
        let mean = sum / count;
        let deviation = (squares / count - mean * mean).max(0.0).sqrt();
        (mean + self.c * deviation) as f32
    }
}

/// The mask of an entry after a step.
fn masked(theta: f32, mask: f32, threshold: f32) -> f32 {
    if theta.abs() <= 0.9 * threshold {
        0.0
    } else if theta.abs() > 1.1 * threshold {
        1.0
    } else {
        mask
    }
}

impl WeightMethod for Splicing {
    fn states(&self, shape: &[usize]) -> Vec<State> {
        let set = |name, scope: Scope, first| State {
            is_trained: false,
            ..State::new(name, scope, vec![first; scope.len(shape)])
        };
        vec![
            set("mask", Scope::Entry, 1.0),
            set("threshold", Scope::Tensor(1), 0.0),
        ]
    }

    fn kept(&self, entries: EntryView<'_>) -> Vec<bool> {
        entries.own(0).iter().map(|&mask| mask > 0.0).collect()
    }
}

impl CpuMethod for Splicing {
    fn is_sampled(&self) -> bool {
        false
    }

    fn moments(&self, entries: EntryView<'_>, _active: bool, mean: &mut [f32], _: &mut [f32]) {
        let values = entries.theta.iter().zip(entries.own(0));
        for (mean, (theta, mask)) in mean.iter_mut().zip(values) {
            *mean = theta * mask;
        }
    }

    fn sums(&self, _shape: &[usize]) -> usize {
        3
    }

    fn gather(&self, entries: EntryView<'_>, _: DataGradient<'_>, _: &[f32], sums: &mut [f64]) {
        for (index, &theta) in entries.theta.iter().enumerate() {
            if entries.place(index).is_some() {
                let size = f64::from(theta.abs());
                sums[0] += 1.0;
                sums[1] += size;
                sums[2] += size * size;
            }
        }
    }

    fn share(&self, sums: &[f64], shared: &mut [State], update: &Update) -> Vec<f32> {
        if update.at.step == 0 {
            shared[0].parameter.value[0] = self.threshold(sums[0], sums[1], sums[2]);
        }
        Vec::new()
    }

    fn update(
        &self,
        entries: EntryViewMut<'_>,
        data: DataGradient<'_>,
        _of_step: &[f32],
        update: &Update,
    ) {
        let threshold = entries.shared[0].parameter.value[0];
        let range = entries.range.clone();
        update
            .descent
            .step(entries.theta.slices_mut(range.clone()), data.theta);
        let mask = &mut entries.own[0].parameter.value[range.clone()];
        let theta = &entries.theta.value[range];
        for ((mask, &theta), mean) in mask.iter_mut().zip(theta).zip(entries.mean) {
            if self.changes(update) {
                *mask = masked(theta, *mask, threshold);
            }
            *mean = theta * *mask;
        }
    }
}

impl CandleMethod for Splicing {
    fn tensor_moments(
        &self,
        theta: &Tensor,
        states: &[Tensor],
        _masking: Masking,
    ) -> CandleResult<TensorMoments> {
        // The gradient goes to theta as if nothing were masked.
        let masked = (theta * &states[0])?;
        Ok(TensorMoments {
            mean: (theta + (masked - theta)?.detach())?,
            variance: None,
            alive_rows: None,
        })
    }

    fn tensor_kept(&self, theta: &Tensor, states: &[Tensor]) -> CandleResult<Tensor> {
        theta * &states[0]
    }

    fn tensor_set(
        &self,
        [before, after]: [&Tensor; 2],
        states: &mut [Tensor],
        update: &Update,
    ) -> CandleResult<()> {
        let host = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        if update.at.step == 0 {
            let theta = host(before)?;
            let sizes = || theta.iter().map(|theta| f64::from(theta.abs()));
            let squares = sizes().map(|size| size * size).sum();
            let threshold = self.threshold(theta.len() as f64, sizes().sum(), squares);
            states[1] = Tensor::from_vec(vec![threshold], 1, before.device())?;
        }
        if self.changes(update) {
            let threshold = host(&states[1])?[0];
            let entries = host(after)?.into_iter().zip(host(&states[0])?);
            let mask = entries.map(|(theta, mask)| masked(theta, mask, threshold));
            states[0] = Tensor::from_vec(mask.collect(), after.dims(), after.device())?;
        }
        Ok(())
    }
}

fn masks(parameters: &Parameters) -> Vec<bool> {
    let masks = parameters.layers.iter().flat_map(|layer| {
        let mask = layer.weight.state("mask").unwrap();
        mask.value.iter().map(|&mask| mask > 0.0)
    });
    masks.collect()
}

#[test]
fn entries_leave_and_return_by_the_rule_and_both_engines_agree() {
    let method: Arc<dyn WeightMethod> = Arc::new(METHOD);
    let start = parameters(&*method);
    let mut problem = Problem::new(&method, &start, 3);
    let mut one_thread = Problem::new(&method, &start, 1);
    let mut seen = vec![masks(&start)];
    let mut threshold = None;
    for step in 0..40 {
        problem.step(step);
        one_thread.step(step);
        problem.assert_engines_agree();
        let after = problem.cpu.parameters().unwrap();
        assert_eq!(after, one_thread.cpu.parameters().unwrap());
        let own = after.layers[0].weight.state("threshold").unwrap().value[0];
        let first = threshold.get_or_insert(own.to_bits());
        assert_eq!(own.to_bits(), *first, "fixed at the first step");
        seen.push(masks(&after));
    }
    let went = |pair: &[Vec<bool>]| pair[0].iter().zip(&pair[1]).any(|(a, b)| *a && !b);
    let returned = |pair: &[Vec<bool>]| pair[0].iter().zip(&pair[1]).any(|(a, b)| !a && *b);
    assert!(seen.windows(2).any(went) && seen.windows(2).any(returned));
    // Some steps change no mask at all: the probability falls.
    let changed = |pair: &&[Vec<bool>]| pair[0] != pair[1];
    assert!(seen.windows(2).filter(changed).count() < 30);

    let after = problem.cpu.parameters().unwrap();
    let mut pruned = after.clone();
    for layer in &mut pruned.layers {
        let kept = layer.weight.theta_pruned(&*method);
        assert!(
            kept.iter()
                .zip(&layer.weight.theta().value)
                .any(|(kept, theta)| kept.to_bits() != theta.to_bits())
        );
        layer.weight.kill(&*method);
    }
    assert_eq!(pruned, after, "what may return does not die");
}

#[test]
fn gradients_reach_masked_entries_and_are_those_of_finite_differences() {
    let method: Arc<dyn WeightMethod> = Arc::new(METHOD);
    let mut start = parameters(&*method);
    for layer in &mut start.layers {
        let theta = layer.weight.theta().clone();
        let mut states: Vec<State> = layer.weight.states().cloned().collect();
        let mask = theta
            .value
            .iter()
            .map(|theta| f32::from(u8::from(theta.abs() > 0.2)));
        states[0].parameter.value = mask.collect();
        layer.weight = Weight::dense(layer.weight.shape(), theta, states).unwrap();
    }
    let mut problem = Problem::new(&method, &start, 2);
    problem.step(0);
    let stepped = problem.cpu.parameters().unwrap();
    // The dense net with masked entries at 0 has the same outputs, and allows finite differences everywhere.
    let dense_setting = Method::new(MethodKind::Dense).of_weights(&spec()).unwrap();
    let dense = Arc::clone(&dense_setting[0].method);
    let bare = |layer: usize, index: usize, h: f32| {
        let mut bare = start.clone();
        for (number, own) in bare.layers.iter_mut().enumerate() {
            let mut theta = own.weight.theta_pruned(&*method);
            if number == layer {
                theta[index] += h;
            }
            let shape = own.weight.shape().to_vec();
            own.weight = Weight::dense(&shape, Parameter::new(theta), Vec::new()).unwrap();
        }
        Problem::nll(&dense, &bare)
    };
    let mut masked_with_gradient = 0;
    for (layer, after) in stepped.layers.iter().enumerate() {
        let m = &after.weight.theta().m;
        let scale = m.iter().fold(0.0_f32, |most, m| most.max(m.abs())) * 10.0;
        let before = start.layers[layer].weight.state("mask").unwrap();
        for index in (0..m.len()).step_by(m.len() / 30 + 1) {
            let h = 2e-3;
            let difference = (bare(layer, index, h) - bare(layer, index, -h)) / f64::from(2.0 * h);
            let found = 10.0 * m[index];
            let error = (found - difference as f32).abs();
            assert!(
                error < 0.05 * scale + 1e-4,
                "{layer} [{index}]: {found} {difference}"
            );
            let is_masked = before.value[index] == 0.0;
            masked_with_gradient += usize::from(is_masked && found.abs() > 0.1 * scale);
        }
    }
    assert!(masked_with_gradient > 0);
}
