//! The gate on units.

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use vbd_core::layers::{NoiseGate, VariationalConfig, noise_gate};
use vbd_core::prior::Prior;

use crate::check::{DRAWS, assert_gradients, noise, options, tensor, values};

#[test]
fn a_draw_and_its_kl_have_the_gradients_of_finite_differences() {
    let theta = tensor(1, 4, 3.0, 0.0);
    // log_alpha from about -4 to 8: some units are masked
    let log_sigma2 = tensor(2, 4, 8.0, 1.0);
    for shape in [vec![5, 4], vec![3, 4, 2, 3]] {
        let (x, weights) = (
            tensor(3, &shape[..], 3.0, 0.0),
            tensor(5, &shape[..], 2.0, 0.0),
        );
        for prior in [Prior::Hierarchical, Prior::LogUniform] {
            for masked in [false, true] {
                let inputs = [theta.clone(), log_sigma2.clone(), x.clone()];
                assert_gradients(&inputs, |inputs| {
                    let [theta, log_sigma2, x] = inputs else {
                        unreachable!()
                    };
                    let (theta, log_sigma2) = (theta.clone(), log_sigma2.clone());
                    let gate = NoiseGate::new(theta, log_sigma2, options(3.0))?;
                    let y = if masked {
                        gate.sample_masked(x, &noise())?
                    } else {
                        gate.sample(x, &noise())?
                    };
                    (y.sqr()? * &weights)?.sum_all()? + (gate.kl(prior)? * 0.7)?
                });
            }
        }
    }
}

#[test]
fn a_factor_has_the_moments_of_its_posterior_and_a_channel_shares_it() -> Result<()> {
    let (theta, log_sigma2) = (tensor(1, 3, 2.0, 0.0), tensor(2, 3, 3.0, -1.0));
    let gate = NoiseGate::new(theta.clone(), log_sigma2.clone(), options(1e9))?;
    let ones = Tensor::ones((DRAWS, 3, 1, 2), DType::F64, &Device::Cpu)?;
    let factors = gate.sample_masked(&ones, &noise())?.squeeze(2)?;
    let [left, right] = [0, 1].map(|x| values(&factors.narrow(2, x, 1).unwrap()));
    assert_eq!(left, right);
    let factors = factors.narrow(2, 0, 1)?.squeeze(2)?;
    let variance = log_sigma2.exp()?;
    let error = ((factors.mean(0)? - &theta)? / (&variance / DRAWS as f64)?.sqrt()?)?;
    assert!(values(&error).iter().all(|error| error.abs() < 5.0));
    let ratio = values(&(factors.var(0)? / &variance)?);
    let most = 5.0 * (2.0 / DRAWS as f64).sqrt();
    assert!(
        ratio.iter().all(|ratio| (ratio - 1.0).abs() < most),
        "{ratio:?}"
    );
    Ok(())
}

#[test]
fn a_new_gate_changes_nothing() -> Result<()> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let gate = noise_gate(3, &VariationalConfig::default(), vb.pp("gate.fc1"))?;
    assert!(noise_gate(3, &VariationalConfig::default(), vb.pp("gate.fc1")).is_err());
    let x = Tensor::new(&[[1.0_f32, -2.0, 3.0]], &Device::Cpu)?;
    assert_eq!(gate.forward(&x)?.to_vec2::<f32>()?, x.to_vec2::<f32>()?);
    assert_eq!(gate.keep_mask()?.to_vec1::<u8>()?, [1, 1, 1]);
    assert!(map.data().lock().unwrap().contains_key("gate.fc1.theta"));
    Ok(())
}
