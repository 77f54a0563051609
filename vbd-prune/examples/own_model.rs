//! Trains a small model on the built-in digits, prunes it, saves it as a sparse file and evaluates the
//! file, in under a minute.
//!
//! ```text
//! cargo run --release -p vbd-prune --example own_model [FILE]
//! ```
#![expect(clippy::print_stdout, reason = "output of a program")]

use candle_core::{D, DType, Device, Module, Result as CandleResult, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap, loss::cross_entropy};
use vbd_core::layers::{
    Noise, StepNoise, VariationalConfig, VariationalLinear, variational_linear,
};
use vbd_core::prior::Prior;
use vbd_models::data;
use vbd_net::data::Samples;
use vbd_prune::{SaveOptions, save_sparse, sparse_linear, sparse_var_builder};

const EPOCHS: usize = 20;
const BATCH: usize = 100;
const HIDDEN: usize = 48;

struct Model {
    fc1: VariationalLinear,
    fc2: VariationalLinear,
}

impl Model {
    fn new(vb: &VarBuilder<'_>) -> CandleResult<Self> {
        let config = VariationalConfig::default();
        Ok(Self {
            fc1: variational_linear(784, HIDDEN, &config, vb.pp("fc1"))?,
            fc2: variational_linear(HIDDEN, 10, &config, vb.pp("fc2"))?,
        })
    }

    /// Computes a training draw: with all weights, or if `masked` only with those below the threshold.
    fn sample(&self, x: &Tensor, noise: &StepNoise, masked: bool) -> CandleResult<Tensor> {
        let draw = if masked {
            VariationalLinear::sample_masked
        } else {
            VariationalLinear::sample
        };
        draw(&self.fc2, &draw(&self.fc1, x, noise)?.relu()?, noise)
    }

    fn kl(&self) -> CandleResult<Tensor> {
        let prior = Prior::Hierarchical;
        self.fc1.kl(prior)? + self.fc2.kl(prior)?
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or_else(|| "own-model.safetensors".to_owned());
    let device = Device::Cpu;
    let digits = data::digits(data::DEFAULT_SEED, 3000, 1000)?;
    let (train_x, train_y) = tensors(&digits.train, &device)?;
    let (test_x, test_y) = tensors(&digits.test, &device)?;

    let map = VarMap::new();
    let model = Model::new(&VarBuilder::from_varmap(&map, DType::F32, &device))?;
    // Weight decay would pull log_sigma2 towards 0.
    let params = ParamsAdamW {
        lr: 2e-3,
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    };
    let mut adam = AdamW::new(sorted(&map), params)?;
    let (noise, samples) = (Noise::new(0), digits.train.len());
    let steps = samples.div_ceil(BATCH);
    for epoch in 0..EPOCHS {
        // Warm-up: kl_scale rises from 0 to 1 between 10 % and 40 % of the run. The learning rate decays to 0 in
        // the second half.
        let progress = epoch as f64 / EPOCHS as f64;
        let kl_scale = ((progress - 0.1) / 0.3).clamp(0.0, 1.0);
        adam.set_learning_rate(2e-3 * (2.0 - 2.0 * progress).min(1.0));
        let mut sum = 0.0;
        for batch in 0..steps {
            let step = u32::try_from(epoch * steps + batch)?;
            let len = BATCH.min(samples - batch * BATCH);
            let x = train_x.narrow(0, batch * BATCH, len)?;
            let y = train_y.narrow(0, batch * BATCH, len)?;
            let logits = model.sample(&x, &noise.step(step), kl_scale > 0.0)?;
            let nll = cross_entropy(&logits, &y)?;
            let kl = (model.kl()? * (kl_scale / samples as f64))?;
            adam.backward_step(&(&nll + kl)?)?;
            sum += f64::from(nll.to_scalar::<f32>()?);
        }
        println!(
            "epoch {epoch}: nll {:.4}, kl_scale {kl_scale:.2}",
            sum / steps as f64
        );
    }

    save_sparse(&map, &path, &SaveOptions::default())?;
    let vb = sparse_var_builder(&path, &device)?;
    let fc1 = sparse_linear(784, HIDDEN, vb.pp("fc1"))?;
    let fc2 = sparse_linear(HIDDEN, 10, vb.pp("fc2"))?;
    let logits = fc2.forward(&fc1.forward(&test_x)?.relu()?)?;
    let wrong = logits
        .argmax(D::Minus1)?
        .ne(&test_y)?
        .to_dtype(DType::F32)?;
    let error = wrong.mean_all()?.to_scalar::<f32>()?;
    let (numel, nnz) = (784 * HIDDEN + HIDDEN * 10, fc1.nnz() + fc2.nnz());
    let bytes = std::fs::metadata(&path)?.len();
    println!(
        "{path}: {nnz} of {numel} weights, {:.1}x fewer, {bytes} bytes; test error {:.2} %",
        numel as f64 / nnz as f64,
        100.0 * error
    );
    Ok(())
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

/// Returns images scaled to 0 to 1, `[n, 784]`, and their labels, `[n]`.
fn tensors(samples: &Samples, device: &Device) -> CandleResult<(Tensor, Tensor)> {
    let (n, len) = (samples.len(), samples.sample_len());
    let x = Tensor::from_vec(samples.inputs().to_f32(), (n, len), device)?;
    let labels = samples.labels().unwrap_or_default().iter();
    let y = Tensor::from_vec(labels.map(|&label| u32::from(label)).collect(), n, device)?;
    Ok(((x / 255.0)?, y))
}
