//! The fully connected layer.

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use vbd_core::layers::{
    Alpha, Posterior, Spread, VariationalConfig, VariationalLinear, make_variational,
    variational_from_linear, variational_linear,
};
use vbd_core::prior::Prior;

use crate::check::{
    DRAWS, assert_gradients, assert_same_moments, noise, options, sampled_weight, tensor, values,
};

#[test]
fn a_draw_and_its_kl_have_the_gradients_of_finite_differences() {
    let theta = tensor(1, (3, 4), 2.0, 0.0);
    // log_alpha from about -4 to 8: some weights are masked
    let log_sigma2 = tensor(2, (3, 4), 8.0, 0.0);
    let (x, bias) = (tensor(3, (5, 4), 3.0, 0.0), tensor(4, 3, 1.0, 0.0));
    let coefficients = tensor(5, (5, 3), 2.0, 0.0);
    for prior in [Prior::Hierarchical, Prior::LogUniform] {
        for masked in [false, true] {
            let inputs = [theta.clone(), log_sigma2.clone(), x.clone(), bias.clone()];
            assert_gradients(&inputs, |inputs| {
                let [theta, log_sigma2, x, bias] = inputs else {
                    unreachable!()
                };
                let bias = Some(bias.clone());
                let posterior = Posterior::new(theta.clone(), log_sigma2.clone());
                let layer = VariationalLinear::new(posterior, bias, options(3.0))?;
                let y = if masked {
                    layer.sample_masked(x, &noise())?
                } else {
                    layer.sample(x, &noise())?
                };
                (y.sqr()? * &coefficients)?.sum_all()? + (layer.kl(prior)? * 0.7)?
            });
        }
    }
}

#[test]
fn local_reparameterisation_has_the_mean_and_variance_of_weight_sampling() -> Result<()> {
    let (theta, log_sigma2) = (tensor(1, (2, 6), 2.0, 0.0), tensor(2, (2, 6), 3.0, -1.0));
    let x = tensor(3, (1, 6), 2.0, 0.0);
    let layer = VariationalLinear::new(
        Posterior::new(theta.clone(), log_sigma2.clone()),
        None,
        options(1e9),
    )?;
    let rows = x.broadcast_as((DRAWS, 6))?.contiguous()?;
    let local = layer.sample_masked(&rows, &noise())?;
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
    let layer =
        VariationalLinear::new(Posterior::new(theta, log_sigma2), Some(bias), options(3.0))?;
    let x = Tensor::new(&[[3.0_f32, 5.0, 7.0]], &Device::Cpu)?;
    assert_eq!(layer.keep_mask()?.to_vec2::<u8>()?, [[1, 0, 0]]);
    assert_eq!(layer.forward(&x)?.to_vec2::<f32>()?, [[3.5]]);
    Ok(())
}

#[test]
fn a_layer_in_a_var_map_is_seeded_trainable_and_keeps_existing_variables() -> Result<()> {
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
    let ones = Tensor::ones((1, 6), DType::F32, &Device::Cpu)?;
    let loss = again.sample(&ones, &noise())?;
    let gradients = loss.sum_all()?.backward()?;
    assert!(gradients.get(again.theta()).is_some());
    Ok(())
}

#[test]
fn shapes_that_do_not_agree_are_refused() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let new = |theta: &[usize], log_sigma2: &[usize], bias: Option<&[usize]>| {
        let posterior = Posterior::new(zeros(theta), zeros(log_sigma2));
        VariationalLinear::new(posterior, bias.map(zeros), options(3.0))
    };
    assert!(new(&[2, 3], &[3, 2], None).is_err());
    assert!(new(&[2, 3], &[2, 3], Some(&[3])).is_err());
    assert!(new(&[2, 3, 1, 1], &[2, 3, 1, 1], None).is_err());
    let shared = Posterior {
        theta: zeros(&[2, 3]),
        spread: Spread::LogAlpha(zeros(&[3])),
    };
    assert!(VariationalLinear::new(shared, None, options(3.0)).is_err());
}

#[test]
fn an_input_of_any_rank_has_its_features_last() -> Result<()> {
    let posterior = Posterior::new(tensor(1, (3, 4), 2.0, 0.0), tensor(2, (3, 4), 1.0, -5.0));
    let layer = VariationalLinear::new(posterior, Some(tensor(4, 3, 1.0, 0.0)), options(3.0))?;
    let x = tensor(3, (2, 5, 4), 3.0, 0.0);
    let y = layer.forward(&x)?;
    assert_eq!(y.dims(), [2, 5, 3]);
    let flat = layer.forward(&x.reshape((10, 4))?)?;
    assert_eq!(values(&y), values(&flat));
    // the leading dimension is the sample, whatever is between: the first of two draws as alone
    let drawn = layer.sample(&x, &noise())?;
    let alone = layer.sample(&x.narrow(0, 0, 1)?, &noise())?;
    assert_eq!(values(&drawn.narrow(0, 0, 1)?), values(&alone));
    assert_ne!(values(&drawn), values(&y));
    Ok(())
}

#[test]
fn log_sigma2_beyond_its_bounds_is_used_at_them() -> Result<()> {
    let x = tensor(3, (4, 4), 3.0, 0.0);
    let at = |log_sigma2: f64| {
        let log_sigma2 = Tensor::full(log_sigma2, (3, 4), &Device::Cpu)?;
        let posterior = Posterior::new(tensor(1, (3, 4), 2.0, 0.0), log_sigma2);
        let layer = VariationalLinear::new(posterior, None, options(3.0))?;
        let kl = layer.kl(Prior::LogUniform)?.to_scalar::<f64>()?;
        Ok::<_, candle_core::Error>((values(&layer.sample(&x, &noise())?), kl))
    };
    assert_eq!(at(300.0)?, at(20.0)?);
    assert_eq!(at(-300.0)?, at(-40.0)?);
    Ok(())
}

#[test]
fn two_layers_of_one_prefix_are_refused_while_both_live() -> Result<()> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let config = VariationalConfig::default();
    let first = variational_linear(6, 2, &config, vb.pp("fc1"))?;
    let other = variational_linear(6, 2, &config, vb.pp("fc2"))?;
    let second = variational_linear(6, 2, &config, vb.pp("fc1"));
    assert!(second.unwrap_err().to_string().contains("`fc1`"));
    let clone = first.clone();
    drop(first);
    assert!(variational_linear(6, 2, &config, vb.pp("fc1")).is_err());
    drop(clone);
    let again = variational_linear(6, 2, &config, vb.pp("fc1"))?;
    // layers of other prefixes draw other noise and other first values
    let ones = Tensor::ones((1, 6), DType::F32, &Device::Cpu)?;
    let [a, b] = [&again, &other].map(|layer| values(&layer.sample(&ones, &noise()).unwrap()));
    assert_ne!(a, b);
    assert_ne!(values(again.theta()), values(other.theta()));
    Ok(())
}

#[test]
fn a_shared_alpha_has_the_gradients_of_finite_differences() {
    let (theta, x) = (tensor(1, (3, 4), 2.0, 0.0), tensor(3, (5, 4), 3.0, 0.0));
    let coefficients = tensor(5, (5, 3), 2.0, 0.0);
    for shared in [1, 3] {
        let inputs = [theta.clone(), tensor(2, shared, 4.0, -1.0), x.clone()];
        assert_gradients(&inputs, |inputs| {
            let [theta, log_alpha, x] = inputs else {
                unreachable!()
            };
            let posterior = Posterior {
                theta: theta.clone(),
                spread: Spread::LogAlpha(log_alpha.clone()),
            };
            let layer = VariationalLinear::new(posterior, None, options(3.0))?;
            let y = layer.sample(x, &noise())?;
            (y.sqr()? * &coefficients)?.sum_all()? + (layer.kl(Prior::Hierarchical)? * 0.7)?
        });
    }
}

#[test]
fn a_trained_layer_and_a_whole_map_become_variational() -> Result<()> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let dense = candle_nn::linear(6, 2, vb.pp("fc1"))?;
    let bare = candle_nn::linear_no_bias(6, 2, vb.pp("fc2"))?;
    // So little noise that no weight, however small by chance, is over the threshold.
    let config = VariationalConfig {
        log_sigma2_init: -30.0,
        ..VariationalConfig::default()
    };
    // over its own variables, and over new ones
    for (vb, dense) in [
        (vb.pp("fc1"), &dense),
        (vb.pp("copy"), &dense),
        (vb.pp("bare"), &bare),
    ] {
        let layer = variational_from_linear(dense, &config, vb)?;
        assert_eq!(values(layer.theta()), values(dense.weight()));
        assert_eq!(layer.bias().map(values), dense.bias().map(values));
        let x = tensor(3, (5, 6), 3.0, 0.0).to_dtype(DType::F32)?;
        let error = (layer.forward(&x)? - dense.forward(&x)?)?
            .abs()?
            .max_all()?;
        assert!(error.to_scalar::<f32>()? < 1e-6);
    }
    assert!(make_variational(&map, &["fc2", "none"], &config).is_err());
    assert!(!map.data().lock().unwrap().contains_key("fc2.log_sigma2"));
    make_variational(&map, &["fc2"], &config)?;
    assert!(make_variational(&map, &["fc2"], &config).is_err());
    let config = VariationalConfig {
        bias: false,
        ..config
    };
    let layer = variational_linear(6, 2, &config, vb.pp("fc2"))?;
    assert_eq!(values(layer.theta()), values(bare.weight()));
    let row = VariationalConfig {
        alpha: Alpha::Row,
        ..config
    };
    let shared = variational_linear(6, 2, &row, vb.pp("rows"))?;
    assert!(matches!(shared.spread(), Spread::LogAlpha(log_alpha) if log_alpha.dims() == [2]));
    Ok(())
}
