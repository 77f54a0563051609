//! Autoencoders in both engines, on bytes and on f32.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests: helpers may panic, bits are compared, numbers are small"
)]

mod support;

use support::engine::{
    BATCH, Pair, THETA_TOLERANCE, assert_close, assert_same_gradients, at, indices, kill, mixed,
    pair_on,
};
use support::{dataset, recipe};
use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::posterior;
use vbd_core::recipe::NetToml;
use vbd_core::step::{Batch, Step};
use vbd_core::weight::{Parameter, Parameters, Weight};
use vbd_net::data::{Dataset, Samples};
use vbd_net::output::mse;
use vbd_net::spec::{NetSpec, Normalizer};

fn net(layers: &str) -> NetSpec {
    let text = format!(
        "name = 'auto'\ninput = [1, 6, 5]\nloss = 'mse'\ntarget = 'input'\n\
         normalize = {{ scale = 0.00390625, mean = 'image', std = 0.5 }}\nlayer = [{layers}]"
    );
    NetSpec::from_toml(&text, "auto").unwrap()
}

fn linear() -> NetSpec {
    net(
        "{ kind = 'linear', name = 'enc', out_features = 11 }, { kind = 'relu' },
         { kind = 'linear', name = 'dec', out_features = 30 }",
    )
}

/// The output is an image.
fn convolutions() -> NetSpec {
    net("{ kind = 'conv2d', name = 'enc', out_channels = 4, kernel = 3, padding = 1 }, { kind = 'relu' },
         { kind = 'conv2d', name = 'dec', out_channels = 1, kernel = 3, padding = 1 }")
}

/// The input is read by a sum too.
fn residual() -> NetSpec {
    net(
        "{ kind = 'flatten', name = 'flat' }, { kind = 'linear', name = 'fc', out_features = 30 },
         { kind = 'add', inputs = ['fc', 'flat'] }",
    )
}

fn bytes() -> Dataset {
    dataset([1, 6, 5], 4, 60, 17)
}

/// The same values as f32, without labels.
fn floats() -> Dataset {
    let bytes = bytes();
    let samples = |samples: &Samples| Samples::unlabelled(samples.inputs().to_f32(), 30).unwrap();
    let (train, test) = (samples(&bytes.train), samples(&bytes.test));
    Dataset::new("floats", bytes.shape, 0, train, test).unwrap()
}

#[test]
fn both_engines_give_equal_gradients_and_evaluations() {
    for spec in [linear(), convolutions(), residual()] {
        for (kind, data) in [("vbd", bytes()), ("vd", floats()), ("dense", bytes())] {
            for kl_scale in [0.0, 1.0] {
                let recipe = recipe(kind, "");
                let parameters = mixed(&spec, &recipe);
                let Pair {
                    mut cpu,
                    mut candle,
                    data,
                } = pair_on(data.clone(), &spec, &recipe, &parameters, 2);
                let evaluations = [&mut cpu as &mut dyn Step, &mut candle]
                    .map(|engine| engine.evaluate(&data.test).unwrap().test_loss().unwrap());
                let [a, b] = evaluations;
                assert!((a - b).abs() < 1e-5 * b, "{kind}: {a} {b}");
                let batch = Batch::of(&data.train, &indices(0));
                let nlls = [&mut cpu as &mut dyn Step, &mut candle]
                    .map(|engine| engine.step(&batch, &at(0, kl_scale)).unwrap());
                let [a, b] = nlls;
                assert!((a - b).abs() < 1e-5 * b, "{kind}: {a} {b}");
                assert_same_gradients(&cpu.parameters().unwrap(), &candle.parameters().unwrap());
            }
        }
    }
}

#[test]
fn both_engines_have_equal_theta_after_20_steps_with_a_kill_between() {
    let recipe = recipe("vbd", "");
    for spec in [linear(), convolutions()] {
        let mut pair = pair_on(floats(), &spec, &recipe, &mixed(&spec, &recipe), 2);
        for step in 0..20 {
            let indices = indices(step);
            let indices = if step % 5 == 4 {
                &indices[..9]
            } else {
                &indices
            };
            let batch = Batch::of(&pair.data.train, indices);
            pair.cpu.step(&batch, &at(step, 1.0)).unwrap();
            pair.candle.step(&batch, &at(step, 1.0)).unwrap();
            if step == 10 {
                kill(&mut pair.cpu, &spec, &recipe);
                kill(&mut pair.candle, &spec, &recipe);
            }
        }
        let [cpu, candle] = [pair.cpu.parameters(), pair.candle.parameters()].map(Result::unwrap);
        for (a, b) in cpu.layers.iter().zip(&candle.layers) {
            let [a, b] = [a, b].map(|layer| layer.weight.to_dense().theta().value.clone());
            assert_close(&a, &b, THETA_TOLERANCE, "theta");
        }
    }
}

#[test]
fn bytes_and_the_same_values_as_f32_train_to_the_same_bits() {
    for spec in [linear(), convolutions()] {
        let recipe = recipe("vbd", "");
        let parameters = mixed(&spec, &recipe);
        let trained = [bytes(), floats()].map(|data| {
            let mut pair = pair_on(data, &spec, &recipe, &parameters, 2);
            for step in 0..4 {
                let batch = Batch::of(&pair.data.train, &indices(step));
                pair.cpu.step(&batch, &at(step, 0.5)).unwrap();
            }
            let loss = pair.cpu.evaluate(&pair.data.test).unwrap();
            (pair.cpu.parameters().unwrap(), loss)
        });
        assert_eq!(trained[0], trained[1]);
    }
}

#[test]
fn an_evaluation_is_the_mean_over_samples_and_outputs() {
    // Without weights the outputs are biases.
    let (spec, recipe) = (linear(), recipe("dense", ""));
    let mut parameters = Parameters::init(&spec, &recipe).unwrap();
    for layer in &mut parameters.layers {
        let (shape, numel) = (layer.weight.shape().to_vec(), layer.weight.numel());
        let zeros = Parameter::new(vec![0.0; numel]);
        layer.weight = Weight::dense(&shape, zeros, Vec::new()).unwrap();
        layer.bias = Parameter::new(vec![0.25; shape[0]]);
    }
    let mut pair = pair_on(bytes(), &spec, &recipe, &parameters, 1);
    let normalizer = Normalizer::measure(&spec, &pair.data.train);
    let test = &pair.data.test;
    let errors = (0..test.len()).map(|index| {
        let mut target = vec![0.0; 30];
        normalizer.apply(test.input(index).bytes().unwrap(), &mut target);
        mse::squared_error(&[0.25; 30], &target)
    });
    let expected = errors.sum::<f64>() / (30 * test.len()) as f64;
    let found = pair.cpu.evaluate(test).unwrap();
    assert_eq!((found.samples(), found.test_error()), (17, None));
    assert!((found.test_loss().unwrap() - expected).abs() < 1e-6 * expected);
}

#[test]
fn a_batch_that_is_not_the_nets_is_refused_by_both_engines() {
    let recipe = recipe("vbd", "");
    let classes = support::mlp(&[1, 6, 5], &[7, 4]);
    let few = support::mlp(&[1, 6, 5], &[7, 3]);
    let other = Samples::unlabelled(vec![0.5; 40], 20).unwrap();
    for (spec, data, train, words) in [
        (&classes, bytes(), floats().train, "no labels"),
        (&few, bytes(), bytes().train, "has label 3"),
        (&linear(), floats(), other, "inputs of a batch"),
    ] {
        let mut pair = pair_on(data, spec, &recipe, &mixed(spec, &recipe), 1);
        let all: Vec<u32> = (0..train.len().min(BATCH) as u32).collect();
        let batch = Batch::of(&train, &all);
        for engine in [&mut pair.cpu as &mut dyn Step, &mut pair.candle] {
            for error in [
                engine.step(&batch, &at(0, 0.0)).unwrap_err(),
                engine.evaluate(&train).unwrap_err(),
            ] {
                assert!(error.to_string().contains(words), "{error}");
            }
        }
    }
}

/// A layer in f64.
struct Reference {
    theta: Vec<f64>,
    log_sigma2: Vec<f64>,
    bias: Vec<f64>,
}

/// Mean nll of a batch for linear layers with `ReLU`s between them and sampled outputs: the equations
/// of `docs/recipes.md` in f64.
fn nll(layers: &[Reference], x: &[Vec<f64>]) -> f64 {
    let mut values = x.to_vec();
    for (number, layer) in layers.iter().enumerate() {
        let key = NoiseKey {
            seed: 11,
            step: 0,
            stream: Stream::Layer(number as u16),
        };
        let inputs = values[0].len();
        let mut outputs = vec![Vec::new(); x.len()];
        for (row, bias) in layer.bias.iter().enumerate() {
            let mut noise = vec![0.0_f32; x.len()];
            key.fill_normal(row as u32, &mut noise);
            for ((x, out), eps) in values.iter().zip(&mut outputs).zip(noise) {
                let weights = row * inputs..(row + 1) * inputs;
                let theta = layer.theta[weights.clone()].iter();
                let mean = bias + theta.zip(x).map(|(theta, x)| theta * x).sum::<f64>();
                let spreads = layer.log_sigma2[weights].iter().zip(x);
                let variance: f64 = spreads
                    .map(|(log_sigma2, x)| log_sigma2.exp() * x * x)
                    .sum();
                let y = mean + (variance + 1e-8).sqrt() * f64::from(eps);
                let is_last = number + 1 == layers.len();
                out.push(if is_last { y } else { y.max(0.0) });
            }
        }
        values = outputs;
    }
    let errors = values.iter().zip(x).map(|(y, x)| {
        let squares = y.iter().zip(x).map(|(y, x)| (y - x).powi(2));
        0.5 * squares.sum::<f64>()
    });
    errors.sum::<f64>() / x.len() as f64
}

#[test]
fn gradients_are_those_of_finite_differences_in_f64() {
    let (spec, recipe, data) = (linear(), recipe("vbd", ""), floats());
    let mut parameters = Parameters::init(&spec, &recipe).unwrap();
    for layer in &mut parameters.layers {
        let shape = layer.weight.shape().to_vec();
        let log_sigma2 = Parameter::new(vec![-4.0; layer.weight.numel()]);
        let theta = layer.weight.theta().clone();
        layer.weight = Weight::dense(&shape, theta, vec![posterior::state(log_sigma2)]).unwrap();
    }
    let mut pair = pair_on(data, &spec, &recipe, &parameters, 2);
    let batch = Batch::of(&pair.data.train, &indices(0));
    let found = pair.cpu.step(&batch, &at(0, 0.0)).unwrap() / BATCH as f64;
    let stepped = pair.cpu.parameters().unwrap();
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&x| f64::from(x)).collect() };
    let normalizer = Normalizer::measure(&spec, &pair.data.train);
    let x: Vec<Vec<f64>> = batch
        .inputs()
        .to_f32()
        .chunks(30)
        .map(|pixels| {
            let mut x = vec![0.0; 30];
            normalizer.apply(pixels, &mut x);
            wide(&x)
        })
        .collect();
    let layers = parameters.layers.iter().map(|layer| Reference {
        theta: wide(&layer.weight.theta().value),
        log_sigma2: wide(&layer.weight.state("log_sigma2").unwrap().value),
        bias: wide(&layer.bias.value),
    });
    let mut layers: Vec<Reference> = layers.collect();
    let expected = nll(&layers, &x);
    assert!(
        (found - expected).abs() < 1e-5 * expected,
        "{found} {expected}"
    );
    for number in 0..layers.len() {
        let of = &stepped.layers[number];
        let moments = [
            &of.weight.theta().m,
            &of.weight.state("log_sigma2").unwrap().m,
            &of.bias.m,
        ];
        for (which, m) in moments.into_iter().enumerate() {
            let scale = m.iter().fold(0.0_f32, |most, m| most.max(m.abs()));
            for index in (0..m.len()).step_by(m.len() / 25 + 1) {
                let mut moved = |h: f64| {
                    let layer = &mut layers[number];
                    let values = [&mut layer.theta, &mut layer.log_sigma2, &mut layer.bias];
                    let [theta, log_sigma2, bias] = values;
                    [theta, log_sigma2, bias][which][index] += h;
                    nll(&layers, &x)
                };
                let h = 1e-6;
                let up = moved(h);
                let down = moved(-2.0 * h);
                moved(h);
                let difference = (up - down) / (2.0 * h);
                // m is a tenth of the gradient after a first step.
                let gradient = f64::from(10.0 * m[index]);
                let tolerance = 1e-4 * f64::from(10.0 * scale);
                assert!(
                    (gradient - difference).abs() < tolerance,
                    "layer {number}, {which} [{index}]: {gradient} {difference}"
                );
            }
        }
    }
}
