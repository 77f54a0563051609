//! Layers on the sparse kernels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{D, Module, Result as CandleResult, Tensor};
use candle_nn::{Conv2dConfig, VarBuilder};
use vbd_net::ops::{Conv2d, Flatten, Linear};
use vbd_net::spec::{LayerKind, LayerSpec, NetSpec, Padding};
use vbd_net::{NetTensors, Origin, PrunedLayer, PrunedNet, SparseMatrix};

use crate::error::Result;
use crate::sparse_net::SparseNet;

/// A fully connected layer, `y = x W^T + b`, `[.., in] -> [.., out]`. On the CPU it runs on the sparse
/// kernels, on other devices as Candle's dense product. Inputs of any type are converted to f32; outputs
/// are f32. [`SparseLinear::nnz`] counts the kept weights.
#[derive(Debug, Clone)]
pub struct SparseLinear {
    net: Arc<SparseNet>,
    nnz: usize,
}

/// A convolution, `[batch, in, h, w] -> [batch, out, h', w']`. On the CPU it runs on the sparse
/// kernels, on other devices as Candle's dense convolution. The plan for an image size is built at the
/// first image of that size.
#[derive(Debug, Clone)]
pub struct SparseConv2d {
    layer: PrunedLayer,
    conv: Conv2dConfig,
    nets: Arc<Mutex<HashMap<[usize; 2], Arc<SparseNet>>>>,
}

/// Creates a sparse layer from the tensors `weight` and, if present, `bias` of `vb`. Any dense
/// tensors can be used, such as those of [`sparse_var_builder`](super::sparse_var_builder); zeros of
/// the weight are dropped.
///
/// # Errors
/// If `vb` has no `weight` of this shape; those of [`SparseNet::new`].
#[expect(clippy::needless_pass_by_value, reason = "as candle_nn's constructors")]
pub fn sparse_linear(in_dim: usize, out_dim: usize, vb: VarBuilder<'_>) -> Result<SparseLinear> {
    let layer = pruned(LayerKind::Linear, &[out_dim, in_dim], &vb)?;
    let nnz = layer.weight.nnz();
    let linear = LayerSpec::Linear(Linear::new(&layer.name, out_dim));
    let net = net(vec![in_dim], out_dim, vec![linear], layer)?;
    Ok(SparseLinear {
        net: Arc::new(net),
        nnz,
    })
}

/// Creates a sparse convolution with a square kernel from the tensors `weight` and, if present, `bias`
/// of `vb`.
///
/// # Errors
/// If `vb` has no `weight` of this shape; or if groups or dilation are not 1: in that case use
/// [`candle_nn::conv2d`] with the same `vb`.
#[expect(clippy::needless_pass_by_value, reason = "as candle_nn's constructors")]
pub fn sparse_conv2d(
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    conv: Conv2dConfig,
    vb: VarBuilder<'_>,
) -> Result<SparseConv2d> {
    if (conv.groups, conv.dilation) != (1, 1) {
        let (groups, dilation) = (conv.groups, conv.dilation);
        let problem = format!(
            "has {groups} groups and dilation {dilation}: the sparse kernels only support 1; use candle_nn::conv2d"
        );
        return Err(crate::Error::variable(&vb.prefix(), problem));
    }
    let shape = [out_channels, in_channels, kernel, kernel];
    Ok(SparseConv2d {
        layer: pruned(LayerKind::Conv2d, &shape, &vb)?,
        conv,
        nets: Arc::default(),
    })
}

/// Creates a layer from the nonzero entries of its weight.
fn pruned(kind: LayerKind, shape: &[usize], vb: &VarBuilder<'_>) -> Result<PrunedLayer> {
    let host = |tensor: Tensor| -> CandleResult<Vec<f32>> {
        let tensor = tensor.to_dtype(candle_core::DType::F32)?;
        tensor.flatten_all()?.to_vec1()
    };
    let weight = host(vb.get(shape, "weight")?)?;
    let bias = if vb.contains_tensor("bias") {
        host(vb.get(shape[0], "bias")?)?
    } else {
        vec![0.0; shape[0]]
    };
    let nnz = weight.iter().filter(|&&weight| weight != 0.0).count();
    let sides = [shape[0], weight.len() / shape[0].max(1)];
    Ok(PrunedLayer {
        name: "layer".to_owned(),
        kind,
        shape: shape.to_vec(),
        weight: SparseMatrix::from_places(sides, nnz, weight.into_iter().enumerate()),
        bias,
    })
}

/// Creates a net of one layer.
fn net(
    input: Vec<usize>,
    outputs: usize,
    layers: Vec<LayerSpec>,
    layer: PrunedLayer,
) -> Result<SparseNet> {
    let spec = NetSpec {
        input,
        layers,
        ..NetSpec::classifier("sparse layer", outputs)
    };
    let parts = NetTensors {
        layers: vec![layer],
        ..NetTensors::default()
    };
    SparseNet::new(&PrunedNet::new(spec, parts, Origin::default())?)
}

impl SparseLinear {
    /// Returns the number of nonzero entries of the weight.
    pub fn nnz(&self) -> usize {
        self.nnz
    }
}

impl SparseConv2d {
    /// Returns the number of nonzero entries of the weight.
    pub fn nnz(&self) -> usize {
        self.layer.weight.nnz()
    }

    /// Returns the net for images of this size.
    fn net(&self, [height, width]: [usize; 2]) -> Result<Arc<SparseNet>> {
        let mut nets = self.nets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(net) = nets.get(&[height, width]) {
            return Ok(Arc::clone(net));
        }
        let shape = &self.layer.shape;
        let Some([rows, columns]) = self.sides([height, width]) else {
            let problem = format!(
                "has a kernel of {}, which is larger than its input",
                shape[2]
            );
            return Err(crate::Error::variable("conv2d", problem));
        };
        let conv = LayerSpec::Conv2d(Conv2d {
            stride: self.conv.stride.into(),
            padding: Padding::Sides(self.conv.padding.into()),
            ..Conv2d::new(&self.layer.name, shape[0], shape[2])
        });
        let layers = vec![conv, LayerSpec::Flatten(Flatten::default())];
        let outputs = shape[0] * rows * columns;
        let input = vec![shape[1], height, width];
        let made = Arc::new(net(input, outputs, layers, self.layer.clone())?);
        nets.insert([height, width], Arc::clone(&made));
        Ok(made)
    }

    /// Returns rows and columns of the output; `None` if the kernel is larger than the padded input.
    fn sides(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let side = |size: usize| {
            let room = (size + 2 * self.conv.padding).checked_sub(self.layer.shape[2])?;
            Some(room.checked_div(self.conv.stride)? + 1)
        };
        Some([side(input[0])?, side(input[1])?])
    }
}

impl Module for SparseLinear {
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        if x.rank() == 2 {
            return self.net.forward(x);
        }
        let mut shape = x.dims().to_vec();
        let y = self.net.forward(&x.reshape(((), x.dim(D::Minus1)?))?)?;
        if let Some(last) = shape.last_mut() {
            *last = y.dim(1)?;
        }
        y.reshape(shape)
    }
}

impl Module for SparseConv2d {
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        let (batch, _, height, width) = x.dims4()?;
        let size = [height, width];
        let net = self.net(size).map_err(candle_core::Error::wrap)?;
        let y = net.forward(x)?;
        let [rows, columns] = self.sides(size).unwrap_or_default();
        y.reshape((batch, self.layer.shape[0], rows, columns))
    }
}
