//! Loads a sparse file into a `VarBuilder`.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use safetensors::Dtype;
use vbd_net::format::WeightsFile;
use vbd_net::tensor_file::RawTensor;

use crate::error::{Error, Result};

/// Loads a file written by [`save_sparse`](super::save_sparse) for candle-nn's layers, and for
/// [`sparse_linear`](super::sparse_linear) and [`sparse_conv2d`](super::sparse_conv2d).
///
/// Pruned weights are returned dense, in f32, with zeros where they were pruned. All other tensors
/// are returned unchanged.
///
/// # Errors
/// Those of [`WeightsFile::read`]; [`Error::Variable`] if Candle does not support a tensor's type; or
/// if the device fails.
pub fn sparse_var_builder(path: impl AsRef<Path>, device: &Device) -> Result<VarBuilder<'static>> {
    let file = WeightsFile::read(path.as_ref())?;
    let mut tensors = HashMap::new();
    for weight in file.weights() {
        let dense = Tensor::from_vec(weight.matrix.to_dense(), &weight.shape[..], device)?;
        tensors.insert(weight.name.clone(), dense);
    }
    for (name, raw) in file.others() {
        tensors.insert(name.clone(), tensor(name, raw, device)?);
    }
    Ok(VarBuilder::from_tensors(tensors, DType::F32, device))
}

fn tensor(name: &str, raw: &RawTensor, device: &Device) -> Result<Tensor> {
    let dtype = match raw.dtype {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::U8 => DType::U8,
        Dtype::U32 => DType::U32,
        Dtype::I64 => DType::I64,
        other => {
            let problem = format!("has type {other:?}, which Candle does not support");
            return Err(Error::variable(name, problem));
        }
    };
    Ok(Tensor::from_raw_buffer(
        &raw.bytes, dtype, &raw.shape, device,
    )?)
}
