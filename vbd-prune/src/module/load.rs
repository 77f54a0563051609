//! From a sparse file to a `VarBuilder`.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use safetensors::Dtype;
use vbd_net::format::WeightsFile;
use vbd_net::tensor_file::RawTensor;

use crate::error::{Error, Result};

/// The tensors of a file that [`save_sparse`](super::save_sparse) wrote, on a device: pruned weights with zeros where
/// nothing is kept, in f32; the others as they are. For candle-nn's own layers, and for
/// [`sparse_linear`](super::sparse_linear) and [`sparse_conv2d`](super::sparse_conv2d).
///
/// # Errors
/// As [`WeightsFile::read`]; [`Error::Variable`] naming a tensor whose type Candle does not have; or if the device fails.
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
            let problem = format!("is of {other:?}, a type that Candle does not have");
            return Err(Error::variable(name, problem));
        }
    };
    Ok(Tensor::from_raw_buffer(
        &raw.bytes, dtype, &raw.shape, device,
    )?)
}
