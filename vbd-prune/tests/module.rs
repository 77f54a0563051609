//! A user's own model: saved sparse, read back, run on the sparse kernels.
#![expect(clippy::unwrap_used, reason = "tests fail by panics")]

use candle_core::{DType, Device, Module, Tensor, Var};
use candle_nn::{Conv2dConfig, VarBuilder, VarMap};
use vbd_core::layers::{
    Alpha, VariationalConfig, noise_gate, variational_conv2d, variational_linear,
};
use vbd_core::noise::{NoiseKey, Stream};
use vbd_net::format::WeightsFile;
use vbd_net::{Layout, ValueType};
use vbd_prune::{SaveOptions, save_sparse, sparse_conv2d, sparse_linear, sparse_var_builder};

/// Even draws from -1 to 1.
fn uniform(seed: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    let key = NoiseKey {
        seed,
        step: 0,
        stream: Stream::Other(5),
    };
    key.fill_uniform(0, &mut values);
    values.into_iter().map(|value| 2.0 * value - 1.0).collect()
}

fn tensor(seed: u64, shape: &[usize]) -> Tensor {
    let values = uniform(seed, shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Sets a variable of the map.
fn set(map: &VarMap, name: &str, values: &Tensor) {
    let variables = map.data().lock().unwrap();
    variables[name].set(values).unwrap();
}

/// Spreads the `log_alpha` of a layer's weights so that about `kept` of them are under 3.
fn spread(map: &VarMap, prefix: &str, weight: &str, kept: f32) {
    let theta = {
        let variables = map.data().lock().unwrap();
        variables[&format!("{prefix}.{weight}")].as_tensor().clone()
    };
    let draws = tensor(9, theta.dims());
    let theta_sizes = theta.abs().unwrap().maximum(1e-6).unwrap().log().unwrap();
    let is_kept = draws.lt(f64::from(2.0 * kept - 1.0)).unwrap();
    let low = Tensor::full(-2.0_f32, theta.dims(), &Device::Cpu).unwrap();
    let high = Tensor::full(5.0_f32, theta.dims(), &Device::Cpu).unwrap();
    let log_alpha = is_kept.where_cond(&low, &high).unwrap();
    let log_sigma2 = (log_alpha + (theta_sizes * 2.0).unwrap()).unwrap();
    set(map, &format!("{prefix}.log_sigma2"), &log_sigma2);
}

fn assert_close(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims());
    let scale = expected.abs().unwrap().max_all().unwrap();
    let error = (found - expected).unwrap().abs().unwrap();
    let error = error.max_all().unwrap().to_scalar::<f32>().unwrap();
    let scale = scale.to_scalar::<f32>().unwrap().max(1e-3);
    assert!(error <= 1e-5 * scale, "{error} of {scale}");
}

#[test]
fn a_saved_model_gives_the_dense_outputs_on_the_sparse_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let config = VariationalConfig::default();
    let bare = VariationalConfig {
        bias: false,
        ..config
    };
    let conv = Conv2dConfig {
        stride: 2,
        padding: 1,
        ..Conv2dConfig::default()
    };
    let conv1 = variational_conv2d(2, 6, 3, conv, &config, vb.pp("conv1")).unwrap();
    let fc1 = variational_linear(30, 20, &config, vb.pp("net.fc1")).unwrap();
    let fc2 = variational_linear(20, 7, &bare, vb.pp("net.fc2")).unwrap();
    let gate = noise_gate(20, &config, vb.pp("gate")).unwrap();
    let plain = candle_nn::linear(7, 3, vb.pp("plain")).unwrap();
    set(&map, "conv1.bias", &tensor(3, &[6]));
    set(&map, "net.fc1.bias", &tensor(4, &[20]));
    set(&map, "gate.theta", &tensor(5, &[20]));
    for (prefix, weight, kept) in [
        ("conv1", "weight", 0.3),
        ("net.fc1", "weight", 0.1),
        ("net.fc2", "weight", 0.02),
        ("gate", "theta", 0.5),
    ] {
        spread(&map, prefix, weight, kept);
    }
    for (layout, values) in [(None, ValueType::F32), (Some(Layout::Csr), ValueType::F32)] {
        let options = SaveOptions {
            layout,
            values,
            ..SaveOptions::default()
        };
        save_sparse(&map, &path, &options).unwrap();
        let vb = sparse_var_builder(&path, &Device::Cpu).unwrap();
        let sparse = sparse_linear(30, 20, vb.pp("net.fc1")).unwrap();
        assert!((20..120).contains(&sparse.nnz()), "{}", sparse.nnz());
        for shape in [&[1, 30][..], &[9, 30], &[200, 30], &[2, 5, 30]] {
            let x = tensor(6, shape);
            assert_close(&sparse.forward(&x).unwrap(), &fc1.forward(&x).unwrap());
        }
        let x = tensor(7, &[4, 20]);
        let sparse = sparse_linear(20, 7, vb.pp("net.fc2")).unwrap();
        assert_close(&sparse.forward(&x).unwrap(), &fc2.forward(&x).unwrap());
        let sparse = sparse_conv2d(2, 6, 3, conv, vb.pp("conv1")).unwrap();
        for size in [[8, 8], [5, 7], [8, 8], [1, 1]] {
            for batch in [1, 70] {
                let x = tensor(8, &[batch, 2, size[0], size[1]]);
                assert_close(&sparse.forward(&x).unwrap(), &conv1.forward(&x).unwrap());
            }
        }
        // candle-nn's own layers read the file too; a gate's theta is 0 where a unit is pruned
        let loaded = candle_nn::linear(7, 3, vb.pp("plain")).unwrap();
        let x = tensor(7, &[4, 7]);
        assert_close(&loaded.forward(&x).unwrap(), &plain.forward(&x).unwrap());
        let theta = vb.get(20, "gate.theta").unwrap();
        let ones = Tensor::ones((1, 20), DType::F32, &Device::Cpu).unwrap();
        assert_close(&theta.unsqueeze(0).unwrap(), &gate.forward(&ones).unwrap());
        assert!(!vb.contains_tensor("net.fc1.log_sigma2"));
    }
    let names = WeightsFile::read(&path).unwrap();
    let names: Vec<&str> = names.weights().iter().map(|w| &w.name[..]).collect();
    assert_eq!(names, ["conv1.weight", "net.fc1.weight", "net.fc2.weight"]);
    // the same model gives the same bytes
    let once = std::fs::read(&path).unwrap();
    let options = SaveOptions {
        layout: Some(Layout::Csr),
        ..SaveOptions::default()
    };
    save_sparse(&map, &path, &options).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), once);
}

#[test]
fn a_weight_with_a_shared_alpha_is_saved_whole_and_other_types_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let config = VariationalConfig {
        alpha: Alpha::Row,
        ..VariationalConfig::default()
    };
    let shared = variational_linear(5, 4, &config, vb.pp("fc1")).unwrap();
    let steps = Tensor::new(&[3_i64, 9], &Device::Cpu).unwrap();
    let variable = Var::from_tensor(&steps).unwrap();
    map.data()
        .lock()
        .unwrap()
        .insert("steps".to_owned(), variable);
    save_sparse(&map, &path, &SaveOptions::default()).unwrap();
    let vb = sparse_var_builder(&path, &Device::Cpu).unwrap();
    let x = tensor(6, &[3, 5]);
    let sparse = sparse_linear(5, 4, vb.pp("fc1")).unwrap();
    assert_close(&sparse.forward(&x).unwrap(), &shared.forward(&x).unwrap());
    assert!(!vb.contains_tensor("fc1.log_alpha"));
    let file = WeightsFile::read(&path).unwrap();
    assert_eq!(file.others()["steps"].shape, [2]);
    assert_eq!(file.others()["steps"].bytes[..8], 3_i64.to_le_bytes());
}

#[test]
fn errors_name_the_variable_and_the_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let _fc1 = variational_linear(5, 4, &VariationalConfig::default(), vb.pp("fc1")).unwrap();
    let options = SaveOptions {
        log_alpha_threshold: f32::NAN,
        ..SaveOptions::default()
    };
    assert!(save_sparse(&map, &path, &options).is_err());
    set(
        &map,
        "fc1.weight",
        &Tensor::full(f32::NAN, (4, 5), &Device::Cpu).unwrap(),
    );
    let error = save_sparse(&map, &path, &SaveOptions::default()).unwrap_err();
    assert!(error.to_string().contains("fc1.weight"), "{error}");
    assert!(!path.exists());
    set(&map, "fc1.weight", &tensor(1, &[4, 5]));
    save_sparse(&map, &path, &SaveOptions::default()).unwrap();
    let vb = sparse_var_builder(&path, &Device::Cpu).unwrap();
    assert!(sparse_linear(4, 5, vb.pp("fc1")).is_err());
    assert!(sparse_linear(5, 4, vb.pp("fc9")).is_err());
    let conv = Conv2dConfig {
        groups: 2,
        ..Conv2dConfig::default()
    };
    let error = sparse_conv2d(2, 2, 1, conv, vb.pp("conv1")).unwrap_err();
    assert!(error.to_string().contains("groups"), "{error}");
}
