//! Constructors of layers with variables in a `VarBuilder`.

use candle_core::{Result, Shape, Tensor, Var};
use candle_nn::{Conv2dConfig, Init, VarBuilder};

use super::claims::{Claim, claim};
use super::{
    Conv2dMap, LayerOptions, LinearMap, NoiseGate, Posterior, Spread, Variational,
    VariationalConv2d, VariationalLinear, WeightedMap,
};
use crate::noise::{NoiseKey, Stream};
use crate::recipe::ThetaInit;

/// Scope of one alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alpha {
    /// One alpha per weight. The layer has `log_sigma2`.
    #[default]
    Weight,
    /// One alpha per output neuron or channel. The layer has `log_alpha`, and nothing is pruned.
    Row,
    /// One alpha per layer. The layer has `log_alpha`, and nothing is pruned.
    Layer,
}

/// Configuration of a new layer.
///
/// Name | Default | Meaning
/// -|-|-
/// `log_alpha_threshold` | 3 | weights with `log_alpha = log_sigma2 - 2 ln\|theta\|` at or above this are pruned; files do not record it, so save with the same
/// `log_sigma2_init` | -10 | initial `log_sigma2`
/// `log_alpha_init` | -3 | initial shared `log_alpha`
/// `alpha` | `Weight` | scope of one alpha
/// `theta_init` | `He` | distribution of the initial theta
/// `seed` | 0 | seed of the initial theta; each layer has its own stream
/// `bias` | true | whether the layer has a bias
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VariationalConfig {
    /// Weights with `log_alpha` at or above this are pruned.
    pub log_alpha_threshold: f64,
    /// Initial `log_sigma2`.
    pub log_sigma2_init: f64,
    /// Initial shared `log_alpha`.
    pub log_alpha_init: f64,
    /// Scope of one alpha.
    pub alpha: Alpha,
    /// Distribution of the initial theta.
    pub theta_init: ThetaInit,
    /// Seed of the initial theta.
    pub seed: u64,
    /// Whether the layer has a bias.
    pub bias: bool,
}

impl Default for VariationalConfig {
    fn default() -> Self {
        Self {
            log_alpha_threshold: 3.0,
            log_sigma2_init: -10.0,
            log_alpha_init: -3.0,
            alpha: Alpha::Weight,
            theta_init: ThetaInit::He,
            seed: 0,
            bias: true,
        }
    }
}

impl VariationalConfig {
    pub(super) fn options(&self, prefix: &str) -> LayerOptions {
        LayerOptions {
            log_alpha_threshold: self.log_alpha_threshold,
            stream: Stream::named(prefix),
        }
    }
}

/// Creates a fully connected layer with the variables `weight`, `log_sigma2` (or `log_alpha`) and
/// `bias` of `vb`.
///
/// Variables that `vb` already has are used as they are; the others are initialised by `config`. The
/// prefix of `vb` names the layer's noise stream.
///
/// # Errors
/// If a variable has another shape, or a layer with this prefix already exists.
#[expect(clippy::needless_pass_by_value, reason = "as candle_nn's constructors")]
pub fn variational_linear(
    in_dim: usize,
    out_dim: usize,
    config: &VariationalConfig,
    vb: VarBuilder<'_>,
) -> Result<VariationalLinear> {
    build(LinearMap, &[out_dim, in_dim], config, &vb)
}

/// Creates a convolution with a square kernel and the variables `weight`, `log_sigma2` (or
/// `log_alpha`) and `bias` of `vb`.
///
/// Variables that `vb` already has are used as they are; the others are initialised by `config`. The
/// prefix of `vb` names the layer's noise stream.
///
/// # Errors
/// If a variable has another shape, or a layer with this prefix already exists; if stride, dilation
/// or groups are 0; or if the groups do not divide the input and output channels.
#[expect(clippy::needless_pass_by_value, reason = "as candle_nn's constructors")]
pub fn variational_conv2d(
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    conv: Conv2dConfig,
    config: &VariationalConfig,
    vb: VarBuilder<'_>,
) -> Result<VariationalConv2d> {
    let map = Conv2dMap::from(conv);
    map.check(out_channels)?;
    if !in_channels.is_multiple_of(map.groups) {
        candle_core::bail!(
            "{} groups do not divide {in_channels} input channels",
            map.groups
        );
    }
    let shape = [out_channels, in_channels / map.groups, kernel, kernel];
    build(map, &shape, config, &vb)
}

/// Creates a gate with the variables `theta` (initially 1) and `log_sigma2` of `vb`.
///
/// Variables that `vb` already has are used as they are. The prefix of `vb` names the gate's noise
/// stream. Of `config`, only `log_alpha_threshold` and `log_sigma2_init` are used.
///
/// # Errors
/// If a variable has another shape, or a gate with this prefix already exists.
#[expect(clippy::needless_pass_by_value, reason = "as candle_nn's constructors")]
pub fn noise_gate(
    units: usize,
    config: &VariationalConfig,
    vb: VarBuilder<'_>,
) -> Result<NoiseGate> {
    let prefix = vb.prefix();
    let theta = vb.get_with_hints(units, "theta", Init::Const(1.0))?;
    let claim = claimed(&theta, &prefix)?;
    let first = Init::Const(config.log_sigma2_init);
    let log_sigma2 = vb.get_with_hints(units, "log_sigma2", first)?;
    let mut gate = NoiseGate::new(theta, log_sigma2, config.options(&prefix))?;
    gate.claim = claim;
    Ok(gate)
}

/// Claims `theta` if it is a variable. Plain tensors are not trained, so layers may share them.
fn claimed(theta: &Tensor, prefix: &str) -> Result<Option<Claim>> {
    let is_variable = theta.is_variable();
    is_variable.then(|| claim(theta, prefix)).transpose()
}

pub(super) fn build<M: WeightedMap>(
    map: M,
    shape: &[usize],
    config: &VariationalConfig,
    vb: &VarBuilder<'_>,
) -> Result<Variational<M>> {
    let prefix = vb.prefix();
    let is_new = !vb.contains_tensor("weight");
    let get = |shape: &[usize], name, first| {
        vb.get_with_hints(Shape::from(shape), name, Init::Const(first))
    };
    let theta = get(shape, "weight", 0.0)?;
    let claim = claimed(&theta, &prefix)?;
    if is_new && theta.is_variable() {
        // Candle's own draws cannot be seeded on the CPU.
        let (rows, cols) = (shape[0], shape[1..].iter().product());
        let key = NoiseKey {
            seed: config.seed,
            step: 0,
            stream: Stream::named(&format!("first theta of {prefix}")),
        };
        let drawn = draw_theta(key, [rows, cols], config.theta_init.deviation(cols));
        let drawn = Tensor::from_vec(drawn, shape, theta.device())?;
        Var::from_tensor(&theta)?.set(&drawn.to_dtype(theta.dtype())?)?;
    }
    let spread = match config.alpha {
        Alpha::Weight => Spread::LogSigma2(get(shape, "log_sigma2", config.log_sigma2_init)?),
        Alpha::Row => Spread::LogAlpha(get(&shape[..1], "log_alpha", config.log_alpha_init)?),
        Alpha::Layer => Spread::LogAlpha(get(&[1], "log_alpha", config.log_alpha_init)?),
    };
    let bias = config.bias.then(|| get(&shape[..1], "bias", 0.0));
    let posterior = Posterior { theta, spread };
    let options = config.options(&prefix);
    let mut layer = Variational::from_map(map, posterior, bias.transpose()?, options)?;
    layer.claim = claim;
    Ok(layer)
}

/// Draws an initial theta from a normal distribution, `[rows, cols]`.
pub(crate) fn draw_theta(key: NoiseKey, [rows, cols]: [usize; 2], deviation: f32) -> Vec<f32> {
    let mut theta = vec![0.0; rows * cols];
    for (row, theta) in (0..).zip(theta.chunks_exact_mut(cols)) {
        key.fill_normal(row, theta);
    }
    for theta in &mut theta {
        *theta *= deviation;
    }
    theta
}
