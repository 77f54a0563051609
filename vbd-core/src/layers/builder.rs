//! New layers in a `VarBuilder`.

use candle_core::{Result, Shape, Tensor, Var};
use candle_nn::{Init, VarBuilder};

use super::{Conv2d, NoiseGate, VariationalConv2d, VariationalLinear};
use crate::noise::{NoiseKey, Stream};
use crate::recipe::ThetaInit;

/// How the parameters of a new layer begin.
///
/// Name | Default | Meaning
/// -|-|-
/// `log_alpha_threshold` | 3 | weights at or over it are pruned
/// `log_sigma2_init` | -10 | first `log_sigma2`
/// `theta_init` | `He` | distribution of the first theta
/// `seed` | 0 | seed of the first theta
/// `index` | 0 | number of the layer: its own draws for one seed
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VariationalConfig {
    /// Weights at this `log_alpha` or over it are pruned.
    pub log_alpha_threshold: f64,
    /// First value of every `log_sigma2`.
    pub log_sigma2_init: f64,
    /// How theta is drawn.
    pub theta_init: ThetaInit,
    /// Seed of the first theta.
    pub seed: u64,
    /// Number of the layer.
    pub index: u16,
}

impl Default for VariationalConfig {
    fn default() -> Self {
        Self {
            log_alpha_threshold: 3.0,
            log_sigma2_init: -10.0,
            theta_init: ThetaInit::He,
            seed: 0,
            index: 0,
        }
    }
}

/// How a new [`VariationalConv2d`] is laid out, and how it begins.
///
/// Name | Default | Meaning
/// -|-|-
/// `conv` | stride 1, padding 0 | where its windows lie
/// `weight` | see [`VariationalConfig`] | how its parameters begin
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Conv2dConfig {
    /// Stride and padding.
    pub conv: Conv2d,
    /// First parameters and threshold.
    pub weight: VariationalConfig,
}

/// A layer with the variables `weight`, `log_sigma2` and `bias` of `vb`. New ones are drawn from the
/// config's seed; those that `vb` holds already are taken as they are.
///
/// # Errors
/// If `vb` holds a variable of another shape.
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
    let Variables {
        theta,
        log_sigma2,
        bias,
    } = variables(&[out_dim, in_dim], config, &vb)?;
    VariationalLinear::new(theta, log_sigma2, Some(bias), config.log_alpha_threshold)
}

/// A convolution with a square kernel and the variables `weight`, `log_sigma2` and `bias` of `vb`.
/// New ones are drawn from the config's seed; those that `vb` holds already are taken as they are.
///
/// # Errors
/// If `vb` holds a variable of another shape, or the stride is 0.
#[expect(
    clippy::needless_pass_by_value,
    reason = "as candle_nn's own constructors"
)]
pub fn variational_conv2d(
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    config: &Conv2dConfig,
    vb: VarBuilder<'_>,
) -> Result<VariationalConv2d> {
    let Conv2dConfig { conv, weight } = config;
    let shape = [out_channels, in_channels, kernel, kernel];
    let Variables {
        theta,
        log_sigma2,
        bias,
    } = variables(&shape, weight, &vb)?;
    VariationalConv2d::new(
        theta,
        log_sigma2,
        Some(bias),
        *conv,
        weight.log_alpha_threshold,
    )
}

/// A gate with the variables `theta`, at first 1, and `log_sigma2` of `vb`; `theta_init` and the seed
/// of the config are for weights.
///
/// # Errors
/// If `vb` holds a variable of another shape.
#[expect(
    clippy::needless_pass_by_value,
    reason = "as candle_nn's own constructors"
)]
pub fn noise_gate(
    units: usize,
    config: &VariationalConfig,
    vb: VarBuilder<'_>,
) -> Result<NoiseGate> {
    let theta = vb.get_with_hints(units, "theta", Init::Const(1.0))?;
    let first = Init::Const(config.log_sigma2_init);
    let log_sigma2 = vb.get_with_hints(units, "log_sigma2", first)?;
    NoiseGate::new(theta, log_sigma2, config.log_alpha_threshold)
}

struct Variables {
    theta: Tensor,
    log_sigma2: Tensor,
    bias: Tensor,
}

fn variables(
    shape: &[usize],
    config: &VariationalConfig,
    vb: &VarBuilder<'_>,
) -> Result<Variables> {
    let is_new = !vb.contains_tensor("weight");
    let get = |shape: &[usize], name, first| {
        vb.get_with_hints(Shape::from(shape), name, Init::Const(first))
    };
    let theta = get(shape, "weight", 0.0)?;
    if is_new && theta.is_variable() {
        // Candle's own draws cannot be seeded on the CPU.
        let (rows, cols) = (shape[0], shape[1..].iter().product());
        let deviation = config.theta_init.deviation(cols);
        let drawn = draw_theta((config.seed, config.index), (rows, cols), deviation);
        let drawn = Tensor::from_vec(drawn, shape, theta.device())?;
        Var::from_tensor(&theta)?.set(&drawn.to_dtype(theta.dtype())?)?;
    }
    let log_sigma2 = get(shape, "log_sigma2", config.log_sigma2_init)?;
    let bias = get(&shape[..1], "bias", 0.0)?;
    Ok(Variables {
        theta,
        log_sigma2,
        bias,
    })
}

/// First theta of the layer with this index: normal, `[rows, cols]`.
pub(crate) fn draw_theta(
    (seed, index): (u64, u16),
    (rows, cols): (usize, usize),
    deviation: f32,
) -> Vec<f32> {
    let key = NoiseKey {
        seed,
        step: 0,
        stream: Stream::Init(index),
    };
    let mut theta = vec![0.0; rows * cols];
    for (row, theta) in (0..).zip(theta.chunks_exact_mut(cols)) {
        key.fill_normal(row, theta);
    }
    for theta in &mut theta {
        *theta *= deviation;
    }
    theta
}
