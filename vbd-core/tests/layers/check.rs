//! Helpers for the tests of all layers.

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use vbd_core::layers::{LayerOptions, Noise, StepNoise};
use vbd_core::noise::{NoiseKey, Stream};

use crate::support::uniform;

pub(crate) const KEY: NoiseKey = NoiseKey {
    seed: 3,
    step: 8,
    stream: Stream::Layer(2),
};

/// The noise of [`KEY`].
pub(crate) fn noise() -> StepNoise {
    Noise::new(KEY.seed).step(KEY.step)
}

/// Options of a layer that draws by [`KEY`].
pub(crate) fn options(log_alpha_threshold: f64) -> LayerOptions {
    LayerOptions {
        log_alpha_threshold,
        stream: KEY.stream,
    }
}

/// Even draws about `shift`, `scale` wide, f64.
pub(crate) fn tensor(seed: u64, shape: impl Into<Shape>, scale: f64, shift: f64) -> Tensor {
    let shape = shape.into();
    let draws = uniform(seed, shape.elem_count());
    let values: Vec<f64> = draws
        .iter()
        .map(|&u| (f64::from(u) - 0.5) * scale + shift)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// All values in row-major order.
pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// The gradient of `f` at each of `inputs` against central differences.
pub(crate) fn assert_gradients(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|t| Var::from_tensor(t).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let gradients = f(&tensors).unwrap().backward().unwrap();
    for (number, (input, var)) in inputs.iter().zip(&vars).enumerate() {
        let gradient = gradients.get(var.as_tensor()).unwrap();
        assert_eq!(gradient.dims(), input.dims());
        let gradient = values(gradient);
        let centre = values(input);
        let scale = gradient.iter().fold(1e-3_f64, |most, g| most.max(g.abs()));
        for index in 0..centre.len() {
            let moved = |h: f64| {
                let mut moved = centre.clone();
                moved[index] += h;
                let mut inputs = inputs.to_vec();
                inputs[number] = Tensor::from_vec(moved, input.dims(), &Device::Cpu).unwrap();
                f(&inputs).unwrap().to_scalar::<f64>().unwrap()
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let error = (gradient[index] - difference).abs();
            assert!(
                error < 1e-6 * scale,
                "input {number}[{index}]: {} {difference}",
                gradient[index]
            );
        }
    }
}

/// Draws that the moments are measured on.
pub(crate) const DRAWS: usize = 20_000;
/// Maximum difference of two measured moments, in standard errors.
const ERRORS: f64 = 5.0;

/// Mean and variance of each output: `local` and `sampled` are `[DRAWS, outputs]`, one drawn by local
/// reparameterisation, the other by drawing the weights.
pub(crate) fn assert_same_moments(local: &Tensor, sampled: &Tensor) {
    let moments = |draws: &Tensor| {
        let mean = draws.mean(0).unwrap();
        let variance = draws.var(0).unwrap();
        values(&mean).into_iter().zip(values(&variance))
    };
    let draws = DRAWS as f64;
    for ((mean, variance), (mean_s, variance_s)) in moments(local).zip(moments(sampled)) {
        let error = (2.0 * variance / draws).sqrt();
        assert!((mean - mean_s).abs() < ERRORS * error, "{mean} {mean_s}");
        let variance_error = variance * (4.0 / draws).sqrt();
        assert!(
            (variance - variance_s).abs() < ERRORS * variance_error,
            "{variance} {variance_s}"
        );
    }
}

/// Draw number `draw` of all weights of a layer, f64.
pub(crate) fn sampled_weight(theta: &Tensor, log_sigma2: &Tensor, draw: usize) -> Result<Tensor> {
    let mut eps = vec![0.0; theta.elem_count()];
    let key = NoiseKey {
        stream: Stream::Other(1),
        ..KEY
    };
    key.fill_normal(u32::try_from(draw).unwrap(), &mut eps);
    let eps = Tensor::from_vec(eps, theta.shape(), &Device::Cpu)?.to_dtype(DType::F64)?;
    theta + (eps * (log_sigma2 * 0.5)?.exp()?)?
}
