//! Turns trained dense layers into variational ones: the weight becomes theta, and `log_sigma2` starts
//! small.

use candle_core::{Result, Tensor, Var};
use candle_nn::{Conv2d, Linear, VarBuilder, VarMap};

use super::builder::build;
use super::{
    Alpha, Conv2dMap, LinearMap, Variational, VariationalConfig, VariationalConv2d,
    VariationalLinear, WeightedMap,
};

/// Creates a variational layer from a trained [`Linear`], with the variables `weight`, `log_sigma2`
/// (or `log_alpha`) and `bias` of `vb`.
///
/// Variables that `vb` already has, such as those of the trained layer, are used as they are; the
/// others get the values of `linear`. Use a `log_sigma2_init` of -8 or less: a trained layer needs a
/// start with little noise.
///
/// # Errors
/// Those of [`variational_linear`](super::variational_linear).
#[expect(clippy::needless_pass_by_value, reason = "as candle_nn's constructors")]
pub fn variational_from_linear(
    linear: &Linear,
    config: &VariationalConfig,
    vb: VarBuilder<'_>,
) -> Result<VariationalLinear> {
    from_dense(LinearMap, linear.weight(), linear.bias(), config, &vb)
}

/// Creates a variational layer from a trained [`Conv2d`], with its stride, padding, groups and
/// dilation; see [`variational_from_linear`].
///
/// # Errors
/// Those of [`variational_conv2d`](super::variational_conv2d).
#[expect(clippy::needless_pass_by_value, reason = "as candle_nn's constructors")]
pub fn variational_from_conv2d(
    conv: &Conv2d,
    config: &VariationalConfig,
    vb: VarBuilder<'_>,
) -> Result<VariationalConv2d> {
    let map = Conv2dMap::from(*conv.config());
    from_dense(map, conv.weight(), conv.bias(), config, &vb)
}

fn from_dense<M: WeightedMap>(
    map: M,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: &VariationalConfig,
    vb: &VarBuilder<'_>,
) -> Result<Variational<M>> {
    let is_new = ["weight", "bias"].map(|name| !vb.contains_tensor(name));
    let config = VariationalConfig {
        bias: bias.is_some(),
        ..*config
    };
    let layer = build(map, weight.dims(), &config, vb)?;
    let values = [
        (Some(layer.theta()), Some(weight), is_new[0]),
        (layer.bias(), bias, is_new[1]),
    ];
    for (variable, value, is_new) in values {
        if let (Some(variable), Some(value), true) = (variable, value, is_new)
            && variable.is_variable()
        {
            Var::from_tensor(variable)?.set(&value.detach())?;
        }
    }
    Ok(layer)
}

/// Adds a `NAME.log_sigma2` (or `NAME.log_alpha`) for each `NAME.weight` of a trained `VarMap`.
/// Variational layers with these prefixes then start from the trained weights.
///
/// # Errors
/// If the map has no `NAME.weight` or already has a posterior for it. Nothing is added in that case.
///
/// # Panics
/// If another thread panicked while it had locked the map.
pub fn make_variational(map: &VarMap, names: &[&str], config: &VariationalConfig) -> Result<()> {
    let mut variables = map.data().lock().expect("no thread panics with the map");
    let mut added = Vec::new();
    for name in names {
        let Some(weight) = variables.get(&format!("{name}.weight")) else {
            candle_core::bail!("the map has no `{name}.weight`");
        };
        let shape = weight.dims();
        let (state, shape, first) = match config.alpha {
            Alpha::Weight => ("log_sigma2", shape.to_vec(), config.log_sigma2_init),
            Alpha::Row => ("log_alpha", shape[..1].to_vec(), config.log_alpha_init),
            Alpha::Layer => ("log_alpha", vec![1], config.log_alpha_init),
        };
        for posterior in ["log_sigma2", "log_alpha"].map(|state| format!("{name}.{state}")) {
            if variables.contains_key(&posterior) {
                candle_core::bail!("the map already has `{posterior}`");
            }
        }
        let values = Tensor::full(first, shape, weight.device())?.to_dtype(weight.dtype())?;
        added.push((format!("{name}.{state}"), Var::from_tensor(&values)?));
    }
    variables.extend(added);
    Ok(())
}
