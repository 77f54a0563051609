//! Evaluation by draws, against the same average by Candle's engine, and against the evaluation without noise.
#![expect(clippy::unwrap_used, reason = "tests fail by panics")]

mod support;

use support::engine::{BATCH, mixed, pair, spec};
use vbd_core::recipe::Recipe;
use vbd_core::step::{At, Batch, Step};
use vbd_core::train::{Checkpoint, Compute, DataInfo, Progress, SampledEvaluation};
use vbd_core::weight::Parameters;
use vbd_net::spec::Normalizer;

fn recipe(method: &str) -> Recipe {
    let text =
        format!("summary = 'test'\n[method]\n{method}\n[train]\nbatch_size = {BATCH}\nseed = 3\n");
    Recipe::from_toml(&text, "test").unwrap()
}

/// A checkpoint of the small problem.
fn checkpoint(recipe: &Recipe, parameters: Parameters) -> Checkpoint {
    let data = support::dataset([1, 6, 5], 4, 60, 17);
    Checkpoint {
        spec: spec(),
        recipe: recipe.clone(),
        progress: Progress::default(),
        normalizer: Normalizer::measure(&spec(), &data.train),
        data: DataInfo {
            name: data.name.clone(),
            n_train: data.train.len(),
            crc32: data.crc32(),
        },
        parameters,
        keep_every: 0,
        start: None,
    }
}

#[test]
fn probabilities_are_the_mean_over_draws_of_weights_and_units() {
    for method in [
        "kind = 'vbd'",
        "kind = 'vd'\nkl = 'polynomial'\nrate = 0.4",
        "kind = 'dense'\n[[method.gate]]\nafter = 'fc1'\nkind = 'bernoulli'\nrate = 0.5",
        "kind = 'fast'\nrate = 0.5\n[[method.gate]]\nafter = 'fc2'\nkind = 'gaussian'",
    ] {
        let recipe = recipe(method);
        let parameters = match method {
            "kind = 'vbd'" => mixed(&spec(), &recipe),
            _ => Parameters::init(&spec(), &recipe).unwrap(),
        };
        let mut pair = pair(&spec(), &recipe, &parameters, 1);
        let (samples, draws) = (&pair.data.test, 5);
        let labels = samples.labels().unwrap();
        let (mut nll, mut brier, mut wrong) = (0.0, 0.0, 0);
        let indices: Vec<u32> = (0..u32::try_from(samples.len()).unwrap()).collect();
        let mut step = 0;
        for indices in indices.chunks(BATCH) {
            let batch = Batch::of(samples, indices);
            let mut sums = vec![[0.0_f64; 4]; indices.len()];
            for _ in 0..draws {
                let at = At {
                    seed: 3,
                    step,
                    lr: 0.0,
                    kl_scale: 1.0,
                };
                step += 1;
                let outputs = pair.candle.outputs(&batch, &at).unwrap();
                for (sums, logits) in sums.iter_mut().zip(outputs.chunks_exact(4)) {
                    let e = logits.iter().map(|&x| f64::from(x).exp());
                    let total: f64 = e.clone().sum();
                    sums.iter_mut()
                        .zip(e)
                        .for_each(|(sum, e)| *sum += e / total / f64::from(draws));
                }
            }
            for (sums, index) in sums.iter().zip(indices) {
                let label = usize::from(labels[*index as usize]);
                nll -= sums[label].ln();
                let squares = sums.iter().enumerate();
                brier += squares
                    .map(|(class, p)| (p - f64::from(u8::from(class == label))).powi(2))
                    .sum::<f64>();
                let answer = (0..4).max_by(|&a, &b| sums[a].total_cmp(&sums[b]));
                wrong += usize::from(answer != Some(label));
            }
        }
        let count = samples.len() as f64;
        let checkpoint = checkpoint(&recipe, parameters);
        let found = SampledEvaluation::of(&checkpoint, samples, 5, &Compute::default()).unwrap();
        assert_eq!(
            (found.samples, found.wrong, found.mc_samples),
            (samples.len(), wrong, 5)
        );
        assert!(
            (found.nll - nll / count).abs() < 1e-4,
            "{method}: {} {}",
            found.nll,
            nll / count
        );
        let found_brier = found.calibration.brier();
        assert!(
            (found_brier - brier / count).abs() < 1e-4,
            "{method}: {found_brier}"
        );
    }
}

#[test]
fn without_noise_it_is_the_evaluation_of_the_net() {
    let recipe = recipe("kind = 'dense'");
    let parameters = Parameters::init(&spec(), &recipe).unwrap();
    let mut pair = pair(&spec(), &recipe, &parameters, 1);
    let expected = pair.cpu.evaluate(&pair.data.test).unwrap();
    let checkpoint = checkpoint(&recipe, parameters);
    let compute = Compute::default();
    let found = SampledEvaluation::of(&checkpoint, &pair.data.test, 3, &compute).unwrap();
    assert_eq!(Some(found.wrong), expected.wrong());
    assert!((found.nll - expected.nll().unwrap()).abs() < 1e-5);
    assert!(found.calibration.ece() >= 0.0);
}
