//! The posterior of a weight, `q(w) = N(theta, sigma2)` with `sigma2 = alpha theta^2`, and the keep
//! rule. Reports, files, masks and forward passes all use this file.

use candle_core::{DType, Tensor};

use crate::kernels::math;
use crate::weight::{Parameter, Scope, State};

/// Name of the state with log variances.
pub const LOG_SIGMA2: &str = "log_sigma2";

/// Lower bound of a `log_sigma2` parameter.
pub const LOG_SIGMA2_MIN: f32 = -40.0;
/// Upper bound of a `log_sigma2` parameter.
pub const LOG_SIGMA2_MAX: f32 = 20.0;
/// `log_sigma2` of a dead weight. With theta = 0 it is the limit in which the KL, its gradients and
/// the output's mean are zero.
pub const LOG_SIGMA2_DEAD: f32 = f32::INFINITY;
/// Bound of the absolute `log_alpha` in reports.
pub const LOG_ALPHA_DISPLAYED: f64 = 20.0;
/// Added to the variance of an output before its square root, whose gradient is infinite at 0.
pub const VARIANCE_FLOOR: f32 = 1e-8;

/// Returns the log variances of a weight's entries as a state.
pub fn state(log_sigma2: Parameter) -> State {
    State {
        dead: Some(LOG_SIGMA2_DEAD),
        parameter: log_sigma2,
        ..State::new(LOG_SIGMA2, Scope::Entry, Vec::new())
    }
}

/// Computes `log_alpha = log_sigma2 - 2 ln|theta|`; +inf at theta = 0.
///
/// ```
/// assert_eq!(vbd_core::posterior::log_alpha(0.5, -10.0), -10.0 + 4.0_f64.ln());
/// assert_eq!(vbd_core::posterior::log_alpha(0.0, -10.0), f64::INFINITY);
/// ```
pub fn log_alpha(theta: f32, log_sigma2: f32) -> f64 {
    if theta == 0.0 {
        return f64::INFINITY;
    }
    f64::from(log_sigma2) - 2.0 * f64::from(theta).abs().ln()
}

/// Returns whether a weight is kept: `log_alpha < threshold`, computed as `log_sigma2 < threshold +
/// 2 ln|theta|`.
#[inline(always)]
pub fn is_kept(theta: f32, log_sigma2: f32, log_alpha_threshold: f32) -> bool {
    log_sigma2 < math::ln_one(theta.abs()).mul_add(2.0, log_alpha_threshold)
}

/// Returns whether a weight is dead.
#[inline(always)]
pub fn is_dead(log_sigma2: f32) -> bool {
    log_sigma2 == LOG_SIGMA2_DEAD
}

/// Clamps `log_sigma2` after an update. Dead weights stay dead.
#[inline(always)]
pub fn clamp_log_sigma2(log_sigma2: f32) -> f32 {
    if is_dead(log_sigma2) {
        log_sigma2
    } else {
        log_sigma2.clamp(LOG_SIGMA2_MIN, LOG_SIGMA2_MAX)
    }
}

/// Applies the keep rule to tensors: 1 where a weight is kept, as u8.
///
/// For f32 this is [`is_kept`], computed on the host for every device, so that evaluation, reports
/// and pruning never disagree.
///
/// # Shapes
/// - `theta`, `log_sigma2` and the result: any, equal
///
/// # Errors
/// If the shapes, types or devices differ.
#[expect(clippy::cast_possible_truncation, reason = "read in f64, used in f32")]
pub fn keep_mask(
    theta: &Tensor,
    log_sigma2: &Tensor,
    log_alpha_threshold: f64,
) -> candle_core::Result<Tensor> {
    if theta.dtype() != DType::F32 || theta.dims() != log_sigma2.dims() {
        return keep_mask_on_device(theta, log_sigma2, log_alpha_threshold);
    }
    let host = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
    let threshold = log_alpha_threshold as f32;
    let weights = host(theta)?.into_iter().zip(host(log_sigma2)?);
    let kept: Vec<u8> = weights
        .map(|(theta, log_sigma2)| u8::from(is_kept(theta, log_sigma2, threshold)))
        .collect();
    Tensor::from_vec(kept, theta.dims(), theta.device())
}

/// Applies the keep rule with the device's own logarithm, which may differ from [`keep_mask`] by
/// rounding. Used in training steps on an accelerator.
///
/// # Errors
/// If the shapes, types or devices differ.
pub(crate) fn keep_mask_on_device(
    theta: &Tensor,
    log_sigma2: &Tensor,
    log_alpha_threshold: f64,
) -> candle_core::Result<Tensor> {
    let bound = ((theta.abs()?.log()? * 2.0)? + log_alpha_threshold)?;
    log_sigma2.lt(&bound)
}

/// Returns `values` where `mask` is 1, else 0. A select, so an infinity outside the mask has no
/// effect.
///
/// # Errors
/// If the shapes or devices differ.
pub fn masked(mask: &Tensor, values: &Tensor) -> candle_core::Result<Tensor> {
    debug_assert_eq!(mask.dtype(), DType::U8);
    mask.where_cond(values, &values.zeros_like()?)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact limits")]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_rule_agrees_with_log_alpha_and_with_its_tensor_twin() {
        let theta: Vec<f32> = (0..4000).map(|i| (i as f32 - 2000.0) * 1e-4).collect();
        let log_sigma2: Vec<f32> = (0..4000).map(|i| (i % 60) as f32 * 0.5 - 20.0).collect();
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let mask = keep_mask(&tensor(&theta), &tensor(&log_sigma2), 3.0).unwrap();
        let mask = mask.to_vec1::<u8>().unwrap();
        for ((&theta, &log_sigma2), mask) in theta.iter().zip(&log_sigma2).zip(mask) {
            let margin = log_alpha(theta, log_sigma2) - 3.0;
            if margin.abs() > 1e-5 {
                assert_eq!(
                    is_kept(theta, log_sigma2, 3.0),
                    margin < 0.0,
                    "{theta} {log_sigma2}"
                );
                assert_eq!(mask == 1, margin < 0.0, "{theta} {log_sigma2}");
            }
        }
    }

    #[test]
    fn at_the_threshold_itself_tensors_and_weights_are_kept_by_one_logarithm() {
        let theta: Vec<f32> = (1..=100_000).map(|i| i as f32 * 3.7e-6).collect();
        // The bound, and its neighbours on both sides.
        let bound = |theta: f32| math::ln_one(theta).mul_add(2.0, 3.0);
        for step in [-1, 0, 1] {
            let near =
                |theta: &f32| f32::from_bits(bound(*theta).to_bits().wrapping_add_signed(step));
            let log_sigma2: Vec<f32> = theta.iter().map(near).collect();
            let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
            let mask = keep_mask(&tensor(&theta), &tensor(&log_sigma2), 3.0).unwrap();
            let kept = theta.iter().zip(&log_sigma2);
            let kept: Vec<u8> = kept.map(|(t, l)| u8::from(is_kept(*t, *l, 3.0))).collect();
            assert_eq!(mask.to_vec1::<u8>().unwrap(), kept);
        }
    }

    #[test]
    fn a_zero_theta_and_a_dead_weight_are_never_kept() {
        for threshold in [-1e30, 0.0, 1e30] {
            assert!(!is_kept(0.0, LOG_SIGMA2_MIN, threshold));
            assert!(!is_kept(0.0, LOG_SIGMA2_DEAD, threshold));
        }
        assert_eq!(clamp_log_sigma2(-41.0), LOG_SIGMA2_MIN);
        assert_eq!(clamp_log_sigma2(21.0), LOG_SIGMA2_MAX);
        assert!(is_dead(clamp_log_sigma2(LOG_SIGMA2_DEAD)));
    }
}
