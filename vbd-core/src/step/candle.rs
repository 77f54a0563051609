//! The Candle engine: the layers and Candle's autograd, on any device.

use candle_core::{DType, Device, Module, Tensor, Var, backprop::GradStore};
use candle_nn::ops::log_softmax;

use super::cpu::stream;
use super::{At, Batch, Evaluation, Objective, Step};
use crate::data::Samples;
use crate::error::{Error, Result};
use crate::kernels::loss;
use crate::kernels::update::{BETA1, BETA2, EPSILON};
use crate::layers::{Masking, VariationalLinear};
use crate::noise::NoiseKey;
use crate::posterior::{self, LOG_SIGMA2_DEAD, LOG_SIGMA2_MAX, LOG_SIGMA2_MIN};
use crate::spec::{LayerSpec, NetSpec, Normalizer};
use crate::weight::{LayerParameters, Parameter, Parameters, VariationalWeight};

/// Samples that are evaluated at once.
const EVALUATION_BATCH: usize = 1000;

/// A network that trains on any of Candle's devices.
pub struct CandleStep {
    device: Device,
    objective: Objective,
    classes: usize,
    scale: f64,
    mean: Tensor,
    std: Tensor,
    layers: Vec<Layer>,
}

/// A trained value and its moments.
struct Trained {
    value: Var,
    m: Tensor,
    v: Tensor,
}

struct Linear {
    name: String,
    theta: Trained,
    log_sigma2: Option<Trained>,
    bias: Trained,
}

enum Layer {
    Linear(Linear),
    Relu,
    Flatten,
}

impl Trained {
    fn new(parameter: &Parameter, shape: &[usize], device: &Device) -> Result<Self> {
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, device);
        Ok(Self {
            value: Var::from_tensor(&tensor(&parameter.value)?)?,
            m: tensor(&parameter.m)?,
            v: tensor(&parameter.v)?,
        })
    }

    fn parameter(&self) -> Result<Parameter> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        Ok(Parameter {
            value: values(self.value.as_tensor())?,
            m: values(&self.m)?,
            v: values(&self.v)?,
        })
    }

    /// Adam, with epsilon outside the bias-corrected root; `finish` may change the new value.
    fn update(
        &mut self,
        gradients: &GradStore,
        at: &At,
        finish: impl FnOnce(Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<()> {
        let Some(gradient) = gradients.get(self.value.as_tensor()) else { return Ok(()) };
        // Candle keeps a gradient's own graph; the moments must not drag it along.
        let gradient = gradient.detach();
        let t = f64::from(at.step) + 1.0;
        self.m = ((&self.m * BETA1)? + (&gradient * (1.0 - BETA1))?)?;
        self.v = ((&self.v * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
        let m = (&self.m * (1.0 / (1.0 - BETA1.powf(t))))?;
        let root = ((&self.v * (1.0 / (1.0 - BETA2.powf(t))))?.sqrt()? + EPSILON)?;
        let value = (self.value.as_tensor().detach() - ((m / root)? * at.lr)?)?;
        self.value.set(&finish(value)?)
    }

    fn clear(&mut self, keep: &Tensor, value: f32) -> candle_core::Result<()> {
        let fill = (keep.zeros_like()?.to_dtype(DType::F32)? + f64::from(value))?;
        self.value.set(&keep.where_cond(self.value.as_tensor(), &fill)?.detach())?;
        self.m = posterior::masked(keep, &self.m)?;
        self.v = posterior::masked(keep, &self.v)?;
        Ok(())
    }
}

impl Linear {
    fn new(parameters: &LayerParameters, device: &Device) -> Result<Self> {
        let weight = parameters.weight.to_dense();
        let shape = weight.shape();
        let log_sigma2 = weight.log_sigma2().map(|p| Trained::new(p, shape, device)).transpose()?;
        Ok(Self {
            name: parameters.name.clone(),
            theta: Trained::new(weight.theta(), shape, device)?,
            log_sigma2,
            bias: Trained::new(&parameters.bias, &shape[..1], device)?,
        })
    }

    fn variational(&self, log_alpha_threshold: f32) -> Result<Option<VariationalLinear>> {
        let Some(log_sigma2) = &self.log_sigma2 else { return Ok(None) };
        let tensor = |trained: &Trained| trained.value.as_tensor().clone();
        let layer = VariationalLinear::new(
            tensor(&self.theta),
            tensor(log_sigma2),
            Some(tensor(&self.bias)),
            f64::from(log_alpha_threshold),
        )?;
        Ok(Some(layer))
    }

    fn plain(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        x.matmul(&self.theta.value.t()?)?.broadcast_add(self.bias.value.as_tensor())
    }

    fn parameters(&self) -> Result<LayerParameters> {
        let log_sigma2 = self.log_sigma2.as_ref().map(Trained::parameter).transpose()?;
        let shape = self.theta.value.dims().to_vec();
        let weight = VariationalWeight::dense(&shape, self.theta.parameter()?, log_sigma2)?;
        Ok(LayerParameters { name: self.name.clone(), weight, bias: self.bias.parameter()? })
    }
}

impl CandleStep {
    /// Builds the engine on a device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the network has another layer than linear, ReLU and flatten;
    /// [`Error::Shape`] if the parameters are not the network's; or if the device fails.
    pub fn new(
        spec: &NetSpec,
        objective: Objective,
        normalizer: &Normalizer,
        parameters: &Parameters,
        device: &Device,
    ) -> Result<Self> {
        let statistic = |values: &[f32]| Tensor::from_slice(values, (1, values.len()), device);
        let mut engine = Self {
            device: device.clone(),
            objective,
            classes: spec.classes,
            scale: f64::from(normalizer.scale),
            mean: statistic(&normalizer.mean)?,
            std: statistic(&normalizer.std)?,
            layers: Vec::new(),
        };
        let weights = spec.weights()?;
        let mut remaining = weights.iter().zip(&parameters.layers);
        for layer in &spec.layers {
            engine.layers.push(match layer {
                LayerSpec::Flatten => Layer::Flatten,
                LayerSpec::Relu => Layer::Relu,
                LayerSpec::Linear { name, .. } => {
                    let (weight, own) = remaining.next().ok_or_else(|| absent(name))?;
                    check(&weight.layer, &weight.shape, own)?;
                    Layer::Linear(Linear::new(own, device)?)
                }
                LayerSpec::Conv2d { name, .. } => return Err(unsupported(name, "conv2d")),
                LayerSpec::MaxPool2d { .. } => return Err(unsupported("max_pool2d", "max_pool2d")),
            });
        }
        Ok(engine)
    }

    /// The inputs of some samples, `[batch, input_len]`.
    fn inputs(&self, samples: &Samples, indices: &[u32]) -> Result<Tensor> {
        let pixels: Vec<u8> =
            indices.iter().flat_map(|&index| samples.image(index as usize)).copied().collect();
        let shape = (indices.len(), samples.sample_len());
        let x = Tensor::from_vec(pixels, shape, &self.device)?.to_dtype(DType::F32)?;
        Ok((x * self.scale)?.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?)
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Linear(linear) => Some(linear),
            Layer::Relu | Layer::Flatten => None,
        })
    }

    fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.layers.iter_mut().filter_map(|layer| match layer {
            Layer::Linear(linear) => Some(linear),
            Layer::Relu | Layer::Flatten => None,
        })
    }

    /// Logits, `[batch, classes]`; with noise if `at` is given.
    fn forward(&self, mut x: Tensor, at: Option<&At>) -> Result<Tensor> {
        let mut index = 0;
        for layer in &self.layers {
            x = match layer {
                Layer::Flatten => x.flatten_from(1)?,
                Layer::Relu => relu(&x)?,
                Layer::Linear(linear) => {
                    let variational = linear.variational(self.objective.log_alpha_threshold)?;
                    let stream = stream(index);
                    index += 1;
                    match (variational, at) {
                        (Some(layer), Some(at)) => {
                            let key = NoiseKey { seed: at.seed, step: at.step, stream };
                            let masking = if at.kl_scale > 0.0 { Masking::On } else { Masking::Off };
                            layer.sample(&x, key, masking)?
                        }
                        (Some(layer), None) => layer.forward(&x)?,
                        (None, _) => linear.plain(&x)?,
                    }
                }
            };
        }
        Ok(x)
    }

    fn kl_sum(&self) -> Result<Option<Tensor>> {
        let Some(prior) = self.objective.prior else { return Ok(None) };
        let mut sum: Option<Tensor> = None;
        for linear in self.linears() {
            if let Some(layer) = linear.variational(self.objective.log_alpha_threshold)? {
                let kl = layer.kl(prior)?;
                sum = Some(match sum {
                    Some(sum) => (sum + kl)?,
                    None => kl,
                });
            }
        }
        Ok(sum)
    }
}

/// ReLU with the gradient 0 at 0, where Candle's own has 1.
fn relu(x: &Tensor) -> candle_core::Result<Tensor> {
    posterior::masked(&x.gt(0.0)?, x)
}

fn absent(name: &str) -> Error {
    Error::Shape { name: format!("{name}.weight"), found: vec![], expected: vec![1] }
}

fn unsupported(layer: &str, kind: &'static str) -> Error {
    Error::Unsupported { layer: layer.to_owned(), kind, engine: "the Candle engine" }
}

fn check(name: &str, shape: &[usize], found: &LayerParameters) -> Result<()> {
    if found.name == name && found.weight.shape() == shape {
        return Ok(());
    }
    Err(Error::Shape {
        name: format!("{}.weight, for {name}", found.name),
        found: found.weight.shape().to_vec(),
        expected: shape.to_vec(),
    })
}

impl Step for CandleStep {
    fn step(&mut self, batch: Batch<'_>, at: &At) -> Result<f64> {
        let x = self.inputs(batch.samples, batch.indices)?;
        let labels = batch.indices.iter().map(|&i| u32::from(batch.samples.labels()[i as usize]));
        let labels: Vec<u32> = labels.collect();
        let count = labels.len();
        let labels = Tensor::from_vec(labels, (count, 1), &self.device)?;
        let log_probabilities = log_softmax(&self.forward(x, Some(at))?, 1)?;
        let nll = log_probabilities.gather(&labels, 1)?.sum_all()?.neg()?;
        let mut loss = (&nll * (1.0 / count as f64))?;
        if let Some(kl) = self.kl_sum()? {
            loss = (loss + (kl * self.objective.kl_factor(at.kl_scale))?)?;
        }
        let gradients = loss.backward()?;
        for linear in self.linears_mut() {
            linear.bias.update(&gradients, at, Ok)?;
            linear.theta.update(&gradients, at, Ok)?;
            if let Some(log_sigma2) = &mut linear.log_sigma2 {
                let old = log_sigma2.value.as_tensor().detach();
                log_sigma2.update(&gradients, at, |new| {
                    let alive = old.lt(f64::from(LOG_SIGMA2_DEAD))?;
                    alive.where_cond(&new.clamp(LOG_SIGMA2_MIN, LOG_SIGMA2_MAX)?, &old)
                })?;
            }
        }
        Ok(f64::from(nll.to_scalar::<f32>()?))
    }

    fn kill(&mut self) -> Result<()> {
        let threshold = f64::from(self.objective.log_alpha_threshold);
        for linear in self.linears_mut() {
            let Some(log_sigma2) = &mut linear.log_sigma2 else { continue };
            let theta = linear.theta.value.as_tensor();
            let keep = posterior::keep_mask(theta, log_sigma2.value.as_tensor(), threshold)?;
            linear.theta.clear(&keep, 0.0)?;
            log_sigma2.clear(&keep, LOG_SIGMA2_DEAD)?;
        }
        Ok(())
    }

    fn kl(&self) -> Result<f64> {
        let sum = self.kl_sum()?.map(|kl| kl.to_scalar::<f32>()).transpose()?;
        Ok(sum.map_or(0.0, f64::from))
    }

    fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation> {
        let (mut nll_sum, mut wrong) = (0.0, 0);
        let count = u32::try_from(samples.len()).expect("samples are counted in 32 bits");
        let indices: Vec<u32> = (0..count).collect();
        for indices in indices.chunks(EVALUATION_BATCH) {
            let logits = self.forward(self.inputs(samples, indices)?, None)?;
            debug_assert_eq!(logits.dims(), [indices.len(), self.classes]);
            let logits = logits.t()?.flatten_all()?.to_vec1::<f32>()?;
            let labels = &samples.labels()[indices[0] as usize..][..indices.len()];
            let (nll, errors) = loss::score(&logits, labels, labels.len());
            nll_sum += nll;
            wrong += errors;
        }
        let nll = nll_sum / samples.len().max(1) as f64;
        Ok(Evaluation { samples: samples.len(), wrong, nll })
    }

    fn parameters(&self) -> Result<Parameters> {
        Ok(Parameters { layers: self.linears().map(Linear::parameters).collect::<Result<_>>()? })
    }

    fn load(&mut self, parameters: &Parameters) -> Result<()> {
        let device = self.device.clone();
        let found = parameters.layers.len();
        let expected = self.linears().count();
        if found != expected {
            let (found, expected) = (vec![found], vec![expected]);
            return Err(Error::Shape { name: "layers".to_owned(), found, expected });
        }
        for (linear, own) in self.linears_mut().zip(&parameters.layers) {
            check(&linear.name, linear.theta.value.dims(), own)?;
            *linear = Linear::new(own, &device)?;
        }
        Ok(())
    }
}
