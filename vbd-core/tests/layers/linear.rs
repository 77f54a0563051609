//! The fully connected layer.

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use vbd_core::layers::{Masking, VariationalConfig, VariationalLinear, variational_linear};
use vbd_core::prior::Prior;

use crate::check::{DRAWS, KEY, assert_gradients, assert_same_moments, sampled_weight, tensor};

#[test]
fn a_draw_and_its_kl_have_the_gradients_of_finite_differences() {
    let theta = tensor(1, (3, 4), 2.0, 0.0);
    // log_alpha from about -4 to 8: some weights are masked
    let log_sigma2 = tensor(2, (3, 4), 8.0, 0.0);
    let (x, bias) = (tensor(3, (5, 4), 3.0, 0.0), tensor(4, 3, 1.0, 0.0));
    let coefficients = tensor(5, (5, 3), 2.0, 0.0);
    for prior in [Prior::Hierarchical, Prior::LogUniform] {
        for masking in [Masking::Off, Masking::On] {
            let inputs = [theta.clone(), log_sigma2.clone(), x.clone(), bias.clone()];
            assert_gradients(&inputs, |inputs| {
                let [theta, log_sigma2, x, bias] = inputs else {
                    unreachable!()
                };
                let bias = Some(bias.clone());
                let layer = VariationalLinear::new(theta.clone(), log_sigma2.clone(), bias, 3.0)?;
                let y = layer.sample(x, KEY, masking)?;
                (y.sqr()? * &coefficients)?.sum_all()? + (layer.kl(prior)? * 0.7)?
            });
        }
    }
}

#[test]
fn local_reparameterisation_has_the_mean_and_variance_of_weight_sampling() -> Result<()> {
    let (theta, log_sigma2) = (tensor(1, (2, 6), 2.0, 0.0), tensor(2, (2, 6), 3.0, -1.0));
    let x = tensor(3, (1, 6), 2.0, 0.0);
    let layer = VariationalLinear::new(theta.clone(), log_sigma2.clone(), None, 1e9)?;
    let rows = x.broadcast_as((DRAWS, 6))?.contiguous()?;
    let local = layer.sample(&rows, KEY, Masking::On)?;
    let sample = |draw| x.matmul(&sampled_weight(&theta, &log_sigma2, draw)?.t()?);
    let sampled = (0..DRAWS).map(sample).collect::<Result<Vec<_>>>()?;
    assert_same_moments(&local, &Tensor::cat(&sampled, 0)?);
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
    let config = VariationalConfig {
        seed: 5,
        ..VariationalConfig::default()
    };
    let build = |map: &VarMap, config: &VariationalConfig| {
        let vb = VarBuilder::from_varmap(map, DType::F32, &Device::Cpu);
        variational_linear(6, 2, config, vb.pp("fc1"))
    };
    let first = build(&map, &config)?.theta().to_vec2::<f32>()?;
    assert!(first.iter().flatten().all(|theta| *theta != 0.0));
    assert_eq!(
        build(&VarMap::new(), &config)?.theta().to_vec2::<f32>()?,
        first
    );
    let other = VariationalConfig { seed: 6, ..config };
    assert_ne!(
        build(&VarMap::new(), &other)?.theta().to_vec2::<f32>()?,
        first
    );
    // a second layer over the same variables does not draw them anew
    let again = build(&map, &other)?;
    assert_eq!(again.theta().to_vec2::<f32>()?, first);
    let loss = again.sample(
        &Tensor::ones((1, 6), DType::F32, &Device::Cpu)?,
        KEY,
        Masking::On,
    )?;
    let gradients = loss.sum_all()?.backward()?;
    assert!(gradients.get(again.theta()).is_some());
    Ok(())
}

#[test]
fn shapes_that_do_not_agree_are_refused() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let new = VariationalLinear::new;
    assert!(new(zeros(&[2, 3]), zeros(&[3, 2]), None, 3.0).is_err());
    assert!(new(zeros(&[2, 3]), zeros(&[2, 3]), Some(zeros(&[3])), 3.0).is_err());
    assert!(new(zeros(&[2, 3, 1, 1]), zeros(&[2, 3, 1, 1]), None, 3.0).is_err());
}
