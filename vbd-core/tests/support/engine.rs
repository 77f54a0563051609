//! Both engines on one small problem.

use candle_core::Device;
use vbd_core::gate::Gate;
use vbd_core::posterior::{self, LOG_SIGMA2};
use vbd_core::recipe::NetToml;
use vbd_core::recipe::Recipe;
use vbd_core::step::{At, Batch, CandleStep, CpuConfig, CpuStep, Objective, Step};
use vbd_core::weight::{LayerParameters, Parameter, Parameters, Weight};
use vbd_net::data::Dataset;
use vbd_net::spec::{NetSpec, Normalizer};

use super::{dataset, mlp, uniform};

pub(crate) const BATCH: usize = 23;

/// One step's gradients agree to this, as a share of the largest: f32 sums in another order.
pub(crate) const GRADIENT_TOLERANCE: f32 = 2e-5;
/// Tolerance for biases: sums over all samples and places, which nearly cancel before a normalisation; Candle adds
/// them in an order that depends on the machine.
const BIAS_TOLERANCE: f32 = 1e-4;
/// Tolerance for states that many entries share: Candle adds their gradients in f32, and they nearly cancel.
const SUM_TOLERANCE: f32 = 3e-4;
/// Theta after twenty steps.
pub(crate) const THETA_TOLERANCE: f32 = 1e-4;

pub(crate) struct Pair {
    pub(crate) cpu: CpuStep,
    pub(crate) candle: CandleStep,
    pub(crate) data: Dataset,
}

pub(crate) fn pair(
    spec: &NetSpec,
    recipe: &Recipe,
    parameters: &Parameters,
    threads: usize,
) -> Pair {
    pair_on(
        dataset([1, 6, 5], 4, 60, 17),
        spec,
        recipe,
        parameters,
        threads,
    )
}

pub(crate) fn pair_on(
    data: Dataset,
    spec: &NetSpec,
    recipe: &Recipe,
    parameters: &Parameters,
    threads: usize,
) -> Pair {
    let objective = Objective::new(spec, recipe, data.train.len()).unwrap();
    let normalizer = Normalizer::measure(spec, &data.train);
    let candle = CandleStep::new(
        spec,
        objective.clone(),
        &normalizer,
        parameters,
        &Device::Cpu,
    )
    .unwrap();
    let config = CpuConfig {
        batch_size: BATCH,
        threads,
        compaction: true,
    };
    let cpu = CpuStep::new(spec, objective, normalizer, parameters, config).unwrap();
    Pair { cpu, candle, data }
}

pub(crate) fn spec() -> NetSpec {
    mlp(&[1, 6, 5], &[37, 13, 4])
}

/// Parameters with `log_alpha` on both sides of the threshold.
pub(crate) fn mixed(spec: &NetSpec, recipe: &Recipe) -> Parameters {
    let initial = Parameters::init(spec, recipe).unwrap();
    let layers = initial.layers.clone().into_iter().map(|layer| {
        let theta = layer.weight.theta().value.clone();
        let draws = uniform(5, theta.len());
        let states = layer.weight.state(LOG_SIGMA2).map(|_| {
            let spread = draws.iter().zip(&theta);
            let log_sigma2 = spread.map(|(u, theta)| 2.0 * theta.abs().ln() + 12.0 * u - 6.0);
            posterior::state(Parameter::new(log_sigma2.collect()))
        });
        let states = states.into_iter().collect();
        let shape = layer.weight.shape().to_vec();
        let weight = Weight::dense(&shape, Parameter::new(theta), states).unwrap();
        LayerParameters { weight, ..layer }
    });
    Parameters {
        layers: layers.collect(),
        ..initial
    }
}

pub(crate) fn at(step: u32, kl_scale: f64) -> At {
    At {
        seed: 11,
        step,
        lr: 1e-3,
        kl_scale,
    }
}

pub(crate) fn indices(step: u32) -> Vec<u32> {
    (0..u32::try_from(BATCH).unwrap())
        .map(|i| (i * 7 + step * 13) % 60)
        .collect()
}

pub(crate) fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let scale = expected.iter().fold(0.0_f32, |most, x| {
        if x.is_finite() {
            most.max(x.abs())
        } else {
            most
        }
    });
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let close = found == expected || (found - expected).abs() <= tolerance * scale;
        assert!(
            close,
            "{what}[{index}]: {found} {expected} (largest {scale})"
        );
    }
}

/// After the first step from zero moments, m is a tenth of the gradient.
pub(crate) fn assert_same_gradients(cpu: &Parameters, candle: &Parameters) {
    for (cpu, candle) in cpu.layers.iter().zip(&candle.layers) {
        let name = &cpu.name;
        assert_close(
            &cpu.bias.m,
            &candle.bias.m,
            BIAS_TOLERANCE,
            &format!("{name}.bias"),
        );
        let (a, b) = (&cpu.weight, &candle.weight);
        assert_close(
            &a.theta().m,
            &b.theta().m,
            GRADIENT_TOLERANCE,
            &format!("{name}.theta"),
        );
        for (a, b) in a.states().zip(b.states()) {
            let what = format!("{name}.{}", a.name);
            let tolerance = if a.is_of_entries() {
                GRADIENT_TOLERANCE
            } else {
                SUM_TOLERANCE
            };
            let [a, b] = [a, b].map(|state| &state.parameter.m);
            assert_close(a, b, tolerance, &what);
        }
    }
    for (cpu, candle) in cpu.norms.iter().zip(&candle.norms) {
        let name = &cpu.name;
        for (a, b) in [(&cpu.weight, &candle.weight), (&cpu.bias, &candle.bias)] {
            assert_close(&a.m, &b.m, GRADIENT_TOLERANCE, name);
        }
        for (a, b) in [
            (&cpu.running_mean, &candle.running_mean),
            (&cpu.running_var, &candle.running_var),
        ] {
            assert_close(a, b, GRADIENT_TOLERANCE, name);
        }
    }
}

/// Kills parameters as the trainer does at the end of an epoch.
pub(crate) fn kill(engine: &mut dyn Step, spec: &NetSpec, recipe: &Recipe) {
    let mut parameters = engine.parameters().unwrap();
    let gates = Gate::all(spec, &recipe.method).unwrap();
    let settings = recipe.method.of_weights(spec).unwrap();
    parameters.kill(&settings, &gates);
    engine.load(&parameters).unwrap();
}

/// Convolutions with stride and padding, a pool that leaves rows over, a ReLU of its own.
pub(crate) fn convolutions() -> NetSpec {
    let text = "
        name = 'convolutions'
        input = [1, 6, 5]
        classes = 4
        normalize = { scale = 0.00390625, mean = 'image' }
        [[layer]]
        kind = 'conv2d'
        name = 'conv1'
        out_channels = 7
        kernel = 3
        padding = 1
        [[layer]]
        kind = 'relu'
        [[layer]]
        kind = 'conv2d'
        name = 'conv2'
        out_channels = 5
        kernel = 2
        stride = 1
        [[layer]]
        kind = 'max_pool2d'
        kernel = 2
        [[layer]]
        kind = 'relu'
        [[layer]]
        kind = 'conv2d'
        name = 'conv3'
        out_channels = 6
        kernel = 2
        stride = 2
        padding = 1
        [[layer]]
        kind = 'flatten'
        [[layer]]
        kind = 'linear'
        name = 'fc1'
        out_features = 9
        [[layer]]
        kind = 'relu'
        [[layer]]
        kind = 'linear'
        name = 'fc2'
        out_features = 4
    ";
    NetSpec::from_toml(text, "convolutions").unwrap()
}

pub(crate) fn cpu(
    spec: &NetSpec,
    recipe: &Recipe,
    parameters: &Parameters,
    compaction: bool,
) -> (CpuStep, Dataset) {
    let data = dataset([1, 6, 5], 4, 60, 17);
    let normalizer = Normalizer::measure(spec, &data.train);
    let objective = Objective::new(spec, recipe, data.train.len()).unwrap();
    let config = CpuConfig {
        batch_size: BATCH,
        threads: 2,
        compaction,
    };
    (
        CpuStep::new(spec, objective, normalizer, parameters, config).unwrap(),
        data,
    )
}

/// One unmasked step of the CPU engine from some parameters: the mean cross-entropy, and what they become.
pub(crate) fn first_step(
    spec: &NetSpec,
    recipe: &Recipe,
    parameters: &Parameters,
) -> (f64, Parameters) {
    let (mut engine, data) = cpu(spec, recipe, parameters, true);
    let indices = indices(0);
    let batch = Batch::of(&data.train, &indices);
    let nll = engine.step(&batch, &at(0, 0.0)).unwrap() / BATCH as f64;
    (nll, engine.parameters().unwrap())
}
