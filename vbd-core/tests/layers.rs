//! The Candle compositions: gradients against finite differences in f64, draws against weight
//! sampling.

mod support;

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use support::uniform;
use vbd_core::layers::{LinearConfig, Masking, VariationalLinear, variational_linear};
use vbd_core::noise::{NoiseKey, Stream};
use vbd_core::prior::Prior;

const KEY: NoiseKey = NoiseKey { seed: 3, step: 8, stream: Stream::Layer(2) };

fn tensor(seed: u64, shape: (usize, usize), scale: f64, shift: f64) -> Tensor {
    let values: Vec<f64> =
        uniform(seed, shape.0 * shape.1).iter().map(|&u| (f64::from(u) - 0.5) * scale + shift).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The gradient of `f` at each of `inputs` against central differences.
fn assert_gradients(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let gradients = f(&tensors).unwrap().backward().unwrap();
    for (number, (input, var)) in inputs.iter().zip(&vars).enumerate() {
        let gradient = gradients.get(var.as_tensor()).unwrap().flatten_all().unwrap();
        let gradient = gradient.to_vec1::<f64>().unwrap();
        let values = input.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let scale = gradient.iter().fold(1e-3_f64, |most, g| most.max(g.abs()));
        for index in 0..values.len() {
            let moved = |h: f64| {
                let mut values = values.clone();
                values[index] += h;
                let mut inputs = inputs.to_vec();
                inputs[number] = Tensor::from_vec(values, input.dims(), &Device::Cpu).unwrap();
                f(&inputs).unwrap().to_scalar::<f64>().unwrap()
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let error = (gradient[index] - difference).abs();
            assert!(error < 1e-6 * scale, "input {number}[{index}]: {} {difference}", gradient[index]);
        }
    }
}

#[test]
fn a_draw_and_its_kl_have_the_gradients_of_finite_differences() {
    let theta = tensor(1, (3, 4), 2.0, 0.0);
    // log_alpha from about -4 to 8: some weights are masked
    let log_sigma2 = tensor(2, (3, 4), 8.0, 0.0);
    let (x, bias) = (tensor(3, (5, 4), 3.0, 0.0), tensor(4, (1, 3), 1.0, 0.0));
    let coefficients = tensor(5, (5, 3), 2.0, 0.0);
    for prior in [Prior::Hierarchical, Prior::LogUniform] {
        for masking in [Masking::Off, Masking::On] {
            let inputs = [theta.clone(), log_sigma2.clone(), x.clone(), bias.clone()];
            assert_gradients(&inputs, |inputs| {
                let [theta, log_sigma2, x, bias] = inputs else { unreachable!() };
                let bias = Some(bias.flatten_all()?);
                let layer = VariationalLinear::new(theta.clone(), log_sigma2.clone(), bias, 3.0)?;
                let y = layer.sample(x, KEY, masking)?;
                (y.sqr()? * &coefficients)?.sum_all()? + (layer.kl(prior)? * 0.7)?
            });
        }
    }
}

/// Draws of the mean's standard error that a found mean may lie off.
const ERRORS: f64 = 5.0;

#[test]
fn local_reparameterisation_has_the_mean_and_variance_of_weight_sampling() -> Result<()> {
    let (theta, log_sigma2) = (tensor(1, (2, 6), 2.0, 0.0), tensor(2, (2, 6), 3.0, -1.0));
    let x = tensor(3, (1, 6), 2.0, 0.0);
    let layer = VariationalLinear::new(theta.clone(), log_sigma2.clone(), None, 1e9)?;
    let draws = 20_000;
    let rows = x.broadcast_as((draws, 6))?.contiguous()?;
    let local = layer.sample(&rows, KEY, Masking::On)?.t()?.to_vec2::<f64>()?;

    let deviation = (log_sigma2 * 0.5)?.exp()?;
    let mut sampled = vec![Vec::new(); 2];
    for draw in 0..draws {
        let mut eps = vec![0.0; 12];
        let key = NoiseKey { stream: Stream::Other(1), ..KEY };
        key.fill_normal(u32::try_from(draw).unwrap(), &mut eps);
        let eps = Tensor::from_vec(eps, (2, 6), &Device::Cpu)?.to_dtype(DType::F64)?;
        let weight = (&theta + (eps * &deviation)?)?;
        let y = x.matmul(&weight.t()?)?.to_vec2::<f64>()?;
        sampled[0].push(y[0][0]);
        sampled[1].push(y[0][1]);
    }
    for (local, sampled) in local.iter().zip(&sampled) {
        let moments = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / draws as f64;
            (mean, values.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / draws as f64)
        };
        let ((mean, variance), (mean_s, variance_s)) = (moments(local), moments(sampled));
        let error = (variance / draws as f64).sqrt();
        assert!((mean - mean_s).abs() < ERRORS * 1.5 * error, "{mean} {mean_s}");
        let variance_error = variance * (2.0 / draws as f64).sqrt();
        assert!((variance - variance_s).abs() < ERRORS * 1.5 * variance_error, "{variance} {variance_s}");
    }
    Ok(())
}

#[test]
fn forward_is_the_mean_with_pruned_weights_at_zero() -> Result<()> {
    let theta = Tensor::new(&[[1.0_f32, 2.0, 1e-3]], &Device::Cpu)?;
    let log_sigma2 = Tensor::new(&[[-3.0_f32, 9.0, -3.0]], &Device::Cpu)?;
    let bias = Tensor::new(&[0.5_f32], &Device::Cpu)?;
    let layer = VariationalLinear::new(theta, log_sigma2, Some(bias), 3.0)?;
    let x = Tensor::new(&[[3.0_f32, 5.0, 7.0]], &Device::Cpu)?;
    assert_eq!(layer.keep_mask()?.to_vec2::<u8>()?, [[1, 0, 0]]);
    assert_eq!(layer.forward(&x)?.to_vec2::<f32>()?, [[3.5]]);
    Ok(())
}

#[test]
fn a_layer_in_a_var_map_is_seeded_trainable_and_keeps_what_it_finds() -> Result<()> {
    let map = VarMap::new();
    let config = LinearConfig { seed: 5, ..LinearConfig::default() };
    let build = |map: &VarMap, config: &LinearConfig| {
        let vb = VarBuilder::from_varmap(map, DType::F32, &Device::Cpu);
        variational_linear(6, 2, config, vb.pp("fc1"))
    };
    let first = build(&map, &config)?.theta().to_vec2::<f32>()?;
    assert!(first.iter().flatten().all(|theta| *theta != 0.0));
    assert_eq!(build(&VarMap::new(), &config)?.theta().to_vec2::<f32>()?, first);
    let other = LinearConfig { seed: 6, ..config };
    assert_ne!(build(&VarMap::new(), &other)?.theta().to_vec2::<f32>()?, first);
    // a second layer over the same variables does not draw them anew
    let again = build(&map, &other)?;
    assert_eq!(again.theta().to_vec2::<f32>()?, first);
    let loss = again.sample(&Tensor::ones((1, 6), DType::F32, &Device::Cpu)?, KEY, Masking::On)?;
    let gradients = loss.sum_all()?.backward()?;
    assert!(gradients.get(again.theta()).is_some());
    Ok(())
}

#[test]
fn shapes_that_do_not_agree_are_refused() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    assert!(VariationalLinear::new(zeros(&[2, 3]), zeros(&[3, 2]), None, 3.0).is_err());
    assert!(VariationalLinear::new(zeros(&[2, 3]), zeros(&[2, 3]), Some(zeros(&[3])), 3.0).is_err());
}
