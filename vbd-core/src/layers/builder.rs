//! New layers in a `VarBuilder`.

use candle_core::{Result, Shape, Tensor, Var};
use candle_nn::{Conv2dConfig, Init, VarBuilder};

use super::claims::{Claim, claim};
use super::{
    Conv2dMap, LayerOptions, LinearMap, NoiseGate, Posterior, Spread, Variational,
    VariationalConv2d, VariationalLinear, WeightedMap,
};
use crate::noise::{NoiseKey, Stream};
use crate::recipe::ThetaInit;

/// What has an alpha of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alpha {
    /// Each weight, by its own variance: the layer has `log_sigma2`.
    #[default]
    Weight,
    /// Each output neuron or channel: the layer has `log_alpha`, and nothing is pruned by it.
    Row,
    /// The layer, likewise.
    Layer,
}

/// How the parameters of a new layer begin.
///
/// Name | Default | Meaning
/// -|-|-
/// `log_alpha_threshold` | 3 | weights at or over it are pruned
/// `log_sigma2_init` | -10 | first `log_sigma2`
/// `log_alpha_init` | -3 | first `log_alpha`, where it is shared
/// `alpha` | `Weight` | what has an alpha of its own
/// `theta_init` | `He` | distribution of the first theta
/// `seed` | 0 | seed of the first theta, drawn from a stream of the layer's own
/// `bias` | true | whether the layer has a bias
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VariationalConfig {
    /// Weights at this `log_alpha` or over it are pruned.
    pub log_alpha_threshold: f64,
    /// First value of every `log_sigma2`.
    pub log_sigma2_init: f64,
    /// First value of every shared `log_alpha`.
    pub log_alpha_init: f64,
    /// What has an alpha of its own.
    pub alpha: Alpha,
    /// How theta is drawn.
    pub theta_init: ThetaInit,
    /// Seed of the first theta.
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

/// A layer with the variables `weight`, `log_sigma2` (or `log_alpha`) and `bias` of `vb`, whose prefix names the
/// layer's noise. New ones are drawn from the config's seed; those that `vb` holds already are taken as they are.
///
/// # Errors
/// If `vb` holds a variable of another shape, or has a layer of this prefix already.
#[expect(
    clippy::needless_pass_by_value,
    reason = "as candle_nn's own constructors"
)]
pub fn variational_linear(
    in_dim: usize,
    out_dim: usize,
    config: &VariationalConfig,
    vb: VarBuilder<'_>,
) -> Result<VariationalLinear> {
    build(LinearMap, &[out_dim, in_dim], config, &vb)
}

/// A convolution with a square kernel and the variables `weight`, `log_sigma2` (or `log_alpha`) and `bias` of `vb`,
/// whose prefix names the layer's noise. New ones are drawn from the config's seed; those that `vb` holds already are
/// taken as they are.
///
/// # Errors
/// If `vb` holds a variable of another shape, or has a layer of this prefix already; if stride, dilation or groups are 0,
/// or the groups do not divide both channels.
#[expect(
    clippy::needless_pass_by_value,
    reason = "as candle_nn's own constructors"
)]
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

/// A gate with the variables `theta`, at first 1, and `log_sigma2` of `vb`, whose prefix names its noise; `theta_init`,
/// the seed, `alpha` and `bias` of the config are for weights.
///
/// # Errors
/// If `vb` holds a variable of another shape, or has a gate of this prefix already.
#[expect(
    clippy::needless_pass_by_value,
    reason = "as candle_nn's own constructors"
)]
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

/// A variable is claimed; a tensor that no optimiser moves has no noise either.
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

/// First theta by a key: normal, `[rows, cols]`.
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
