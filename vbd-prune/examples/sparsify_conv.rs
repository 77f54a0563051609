//! Trains a convolutional net of candle-nn's layers, turns them into variational layers, prunes the net
//! and evaluates it with sparse layers.
//!
//! ```text
//! cargo run --release -p vbd-prune --example sparsify_conv [FILE]
//! ```
#![expect(clippy::print_stdout, reason = "output of a program")]

use candle_core::{D, DType, Device, Module, Result as CandleResult, Tensor};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, Linear, Optimizer, ParamsAdamW, VarBuilder, VarMap,
    loss::cross_entropy,
};
use vbd_core::layers::{
    Noise, VariationalConfig, max_pool2d, variational_from_conv2d, variational_from_linear,
};
use vbd_core::prior::Prior;
use vbd_models::data;
use vbd_net::data::Samples;
use vbd_prune::{SaveOptions, save_sparse, sparse_conv2d, sparse_linear, sparse_var_builder};

const BATCH: usize = 100;
const DENSE_EPOCHS: usize = 3;
const SPARSE_EPOCHS: usize = 12;
/// Number of features after convolution and pooling: 8 channels of 6 x 6.
const FEATURES: usize = 8 * 6 * 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or_else(|| "sparsified.safetensors".to_owned());
    let device = Device::Cpu;
    let digits = data::digits(data::DEFAULT_SEED, 3000, 1000)?;
    let train = tensors(&digits.train, &device)?;
    let test = tensors(&digits.test, &device)?;

    // Dense training with candle-nn's layers.
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &device);
    let conv = Conv2dConfig {
        stride: 2,
        ..Conv2dConfig::default()
    };
    let conv1: Conv2d = candle_nn::conv2d(1, 8, 5, conv, vb.pp("conv1"))?;
    let fc1: Linear = candle_nn::linear(FEATURES, 64, vb.pp("fc1"))?;
    let fc2: Linear = candle_nn::linear(64, 10, vb.pp("fc2"))?;
    let mut adam = AdamW::new(sorted(&map), params())?;
    for epoch in 0..DENSE_EPOCHS {
        let mut nll = 0.0;
        for batch in batches(&train) {
            let (x, y) = batch?;
            let logits = forward(&x, &conv1, &fc1, &fc2)?;
            let loss = cross_entropy(&logits, &y)?;
            adam.backward_step(&loss)?;
            nll = loss.to_scalar::<f32>()?;
        }
        println!("dense epoch {epoch}: nll {nll:.4}");
    }
    println!(
        "dense: test error {:.2} %",
        error(&forward(&test.0, &conv1, &fc1, &fc2)?, &test.1)?
    );

    // The same variables with posteriors: little initial noise, and the full KL from the start.
    let config = VariationalConfig {
        log_sigma2_init: -8.0,
        ..VariationalConfig::default()
    };
    let conv1 = variational_from_conv2d(&conv1, &config, vb.pp("conv1"))?;
    let fc1 = variational_from_linear(&fc1, &config, vb.pp("fc1"))?;
    let fc2 = variational_from_linear(&fc2, &config, vb.pp("fc2"))?;
    let mut adam = AdamW::new(sorted(&map), params())?;
    let (noise, samples) = (Noise::new(0), digits.train.len());
    let mut step = 0;
    for epoch in 0..SPARSE_EPOCHS {
        let progress = epoch as f64 / SPARSE_EPOCHS as f64;
        adam.set_learning_rate(1e-3 * (2.0 - 2.0 * progress).min(1.0));
        for batch in batches(&train) {
            let (x, y) = batch?;
            let at = noise.step(step);
            step += 1;
            let x = max_pool2d(&conv1.sample_masked(&x, &at)?.relu()?, 2)?.flatten_from(1)?;
            let x = fc1.sample_masked(&x, &at)?.relu()?;
            let nll = cross_entropy(&fc2.sample_masked(&x, &at)?, &y)?;
            let prior = Prior::Hierarchical;
            let kl = ((conv1.kl(prior)? + fc1.kl(prior)?)? + fc2.kl(prior)?)?;
            adam.backward_step(&(nll + (kl * (1.0 / samples as f64))?)?)?;
        }
        let logits = forward(&test.0, &conv1, &fc1, &fc2)?;
        println!(
            "epoch {epoch}: test error {:.2} %",
            error(&logits, &test.1)?
        );
    }

    save_sparse(&map, &path, &SaveOptions::default())?;
    let vb = sparse_var_builder(&path, &device)?;
    let sparse_conv1 = sparse_conv2d(1, 8, 5, conv, vb.pp("conv1"))?;
    let sparse_fc1 = sparse_linear(FEATURES, 64, vb.pp("fc1"))?;
    let sparse_fc2 = sparse_linear(64, 10, vb.pp("fc2"))?;
    let logits = forward(&test.0, &sparse_conv1, &sparse_fc1, &sparse_fc2)?;
    let dense = forward(&test.0, &conv1, &fc1, &fc2)?;
    let difference = (&logits - &dense)?.abs()?.max_all()?.to_scalar::<f32>()?;
    let numel = 8 * 25 + FEATURES * 64 + 64 * 10;
    let nnz = sparse_conv1.nnz() + sparse_fc1.nnz() + sparse_fc2.nnz();
    println!(
        "{path}: {nnz} of {numel} weights, {:.1}x fewer, {} bytes; test error {:.2} %, largest difference {difference:.1e}",
        numel as f64 / nnz as f64,
        std::fs::metadata(&path)?.len(),
        error(&logits, &test.1)?
    );
    Ok(())
}

fn forward(
    x: &Tensor,
    conv1: &impl Module,
    fc1: &impl Module,
    fc2: &impl Module,
) -> CandleResult<Tensor> {
    // Candle's pooling has a wrong gradient; see `max_pool2d`.
    let x = max_pool2d(&conv1.forward(x)?.relu()?, 2)?.flatten_from(1)?;
    fc2.forward(&fc1.forward(&x)?.relu()?)
}

/// Returns settings without weight decay, which would pull `log_sigma2` towards 0.
fn params() -> ParamsAdamW {
    ParamsAdamW {
        lr: 1e-3,
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    }
}

/// Returns the variables sorted by name. The order of a `VarMap` changes from run to run.
fn sorted(map: &VarMap) -> Vec<candle_core::Var> {
    let variables = map.data().lock().expect("no other thread uses the map");
    let mut named: Vec<_> = variables.iter().collect();
    named.sort_by_key(|(name, _)| *name);
    named
        .into_iter()
        .map(|(_, variable)| variable.clone())
        .collect()
}

fn batches(
    (x, y): &(Tensor, Tensor),
) -> impl Iterator<Item = CandleResult<(Tensor, Tensor)>> + use<'_> {
    let samples = y.elem_count();
    (0..samples).step_by(BATCH).map(move |first| {
        let len = BATCH.min(samples - first);
        Ok((x.narrow(0, first, len)?, y.narrow(0, first, len)?))
    })
}

/// Returns the percentage of misclassified samples.
fn error(logits: &Tensor, labels: &Tensor) -> CandleResult<f32> {
    let wrong = logits.argmax(D::Minus1)?.ne(labels)?.to_dtype(DType::F32)?;
    Ok(100.0 * wrong.mean_all()?.to_scalar::<f32>()?)
}

/// Returns images scaled to 0 to 1, `[n, 1, 28, 28]`, and their labels, `[n]`.
fn tensors(samples: &Samples, device: &Device) -> CandleResult<(Tensor, Tensor)> {
    let n = samples.len();
    let x = Tensor::from_vec(samples.inputs().to_f32(), (n, 1, 28, 28), device)?;
    let labels = samples.labels().unwrap_or_default().iter();
    let y = Tensor::from_vec(labels.map(|&label| u32::from(label)).collect(), n, device)?;
    Ok(((x / 255.0)?, y))
}
