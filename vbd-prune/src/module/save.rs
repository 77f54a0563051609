//! Saves a `VarMap` as a sparse file.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use candle_nn::VarMap;
use safetensors::Dtype;
use vbd_core::posterior;
use vbd_net::format::{NamedWeight, WeightsFile};
use vbd_net::tensor_file::{RawTensor, Tensors};
use vbd_net::{Layout, SparseMatrix, ValueType};

use crate::error::{Error, Result};

/// Options of [`save_sparse`].
///
/// Name | Default | Range | Meaning
/// -|-|-|-
/// `log_alpha_threshold` | 3 | finite | weights and units with `log_alpha = log_sigma2 - 2 ln\|theta\|` at or above this are pruned; use that of the layers, or the file computes other outputs
/// `layout` | the smallest of each weight | [`Layout::ALL`] | storage layout of pruned weights
/// `values` | f32 | [`ValueType::ALL`] | type of the pruned weights' values
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaveOptions {
    /// Weights and units with `log_alpha` at or above this are pruned.
    pub log_alpha_threshold: f32,
    /// Layout of all pruned weights; `None` for the smallest of each.
    pub layout: Option<Layout>,
    /// Type of the pruned weights' values.
    pub values: ValueType,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            log_alpha_threshold: 3.0,
            layout: None,
            values: ValueType::F32,
        }
    }
}

/// Prunes a model and saves it without its posteriors:
///
/// - a `NAME.weight` with a `NAME.log_sigma2`: sparse, kept entries only;
/// - a gate's `NAME.theta` with a `NAME.log_sigma2`: theta, with 0 for pruned units;
/// - all other variables, including weights with a shared `NAME.log_alpha`: unchanged.
///
/// # Errors
/// [`Error::ThresholdNotFinite`]; [`Error::Variable`] if a variable's type cannot be saved, or if a
/// posterior's shape differs from its weight's; those of [`WeightsFile::new`] and
/// [`WeightsFile::write`].
///
/// # Panics
/// If another thread panicked while it had locked the map.
pub fn save_sparse(map: &VarMap, path: impl AsRef<Path>, options: &SaveOptions) -> Result<()> {
    let threshold = options.log_alpha_threshold;
    if !threshold.is_finite() {
        return Err(Error::ThresholdNotFinite { threshold });
    }
    let variables = map.data().lock().expect("no thread panics with the map");
    // Sorted by name: the map is hashed.
    let variables: BTreeMap<&str, &Tensor> = variables
        .iter()
        .map(|(name, variable)| (&name[..], variable.as_tensor()))
        .collect();
    let (mut weights, mut others) = (Vec::new(), Tensors::new());
    for (&name, &variable) in &variables {
        let (prefix, last) = name.rsplit_once('.').unwrap_or(("", name));
        let sibling = |last: &str| {
            let sibling = if prefix.is_empty() {
                last.to_owned()
            } else {
                format!("{prefix}.{last}")
            };
            variables.get(&sibling[..]).copied()
        };
        match (
            last,
            sibling("log_sigma2"),
            sibling("weight"),
            sibling("theta"),
        ) {
            ("weight", Some(log_sigma2), ..) => {
                let kept = kept(name, variable, log_sigma2, threshold)?;
                let shape = variable.dims().to_vec();
                let rows = shape.first().copied().unwrap_or(1);
                let sides = [rows, kept.len() / rows.max(1)];
                let nnz = kept.iter().filter(|&&theta| theta != 0.0).count();
                let matrix = SparseMatrix::from_places(sides, nnz, kept.into_iter().enumerate());
                weights.push(NamedWeight {
                    name: name.to_owned(),
                    shape,
                    matrix,
                });
            }
            ("theta", Some(log_sigma2), ..) => {
                let kept = kept(name, variable, log_sigma2, threshold)?;
                let raw = RawTensor::f32(variable.dims(), &kept);
                others.insert(name.to_owned(), raw);
            }
            // The posterior of a weight or a gate is not saved.
            ("log_sigma2" | "log_alpha", _, Some(_), _) | ("log_sigma2", _, _, Some(_)) => {}
            _ => {
                others.insert(name.to_owned(), raw(name, variable)?);
            }
        }
    }
    let file = WeightsFile::new(
        weights,
        others,
        Some(threshold),
        options.layout,
        options.values,
    )?;
    Ok(file.write(path.as_ref())?)
}

/// Returns theta, row-major, with 0 for pruned entries.
fn kept(name: &str, theta: &Tensor, log_sigma2: &Tensor, threshold: f32) -> Result<Vec<f32>> {
    if theta.dims() != log_sigma2.dims() {
        let problem = format!(
            "has shape {:?}, but its log_sigma2 has shape {:?}",
            theta.dims(),
            log_sigma2.dims()
        );
        return Err(Error::variable(name, problem));
    }
    let host = |tensor: &Tensor| -> candle_core::Result<Vec<f32>> {
        tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    };
    let weights = host(theta)?.into_iter().zip(host(log_sigma2)?);
    let kept = weights.map(|(theta, log_sigma2)| {
        let log_sigma2 = posterior::clamp_log_sigma2(log_sigma2);
        if theta.is_nan() || posterior::is_kept(theta, log_sigma2, threshold) {
            theta
        } else {
            0.0
        }
    });
    Ok(kept.collect())
}

/// Returns a tensor's bytes in its own type.
fn raw(name: &str, tensor: &Tensor) -> Result<RawTensor> {
    let flat = tensor.flatten_all()?;
    let (dtype, bytes) = match tensor.dtype() {
        DType::F32 => (Dtype::F32, bytes(&flat, f32::to_le_bytes)?),
        DType::F64 => (Dtype::F64, bytes(&flat, f64::to_le_bytes)?),
        DType::F16 => (Dtype::F16, bytes(&flat, half::f16::to_le_bytes)?),
        DType::BF16 => (Dtype::BF16, bytes(&flat, half::bf16::to_le_bytes)?),
        DType::U8 => (Dtype::U8, flat.to_vec1::<u8>()?),
        DType::U32 => (Dtype::U32, bytes(&flat, u32::to_le_bytes)?),
        DType::I64 => (Dtype::I64, bytes(&flat, i64::to_le_bytes)?),
        other => {
            let problem =
                format!("has type {other:?}: expected F32, F64, F16, BF16, U8, U32 or I64");
            return Err(Error::variable(name, problem));
        }
    };
    Ok(RawTensor {
        dtype,
        shape: tensor.dims().to_vec(),
        bytes,
    })
}

fn bytes<T: candle_core::WithDType, const N: usize>(
    flat: &Tensor,
    of: impl Fn(T) -> [u8; N],
) -> candle_core::Result<Vec<u8>> {
    Ok(flat.to_vec1::<T>()?.into_iter().flat_map(of).collect())
}
