//! The dense net with Candle's operations, for devices that are no CPU.

use candle_core::{DType, Device, Module, Result, Tensor};
use vbd_net::spec::{LayerSpec, NetSpec};
use vbd_net::statistic::PerInput;

use vbd_net::{PrunedLayer, PrunedNet};

/// The net with dense weights on one device: what [`SparseNet`](super::SparseNet) runs elsewhere than on a
/// CPU, and what the sparse runtime is tested against.
#[derive(Debug)]
pub struct DenseNet {
    input: Vec<usize>,
    scale: f64,
    mean: Tensor,
    std: Tensor,
    layers: Vec<Layer>,
}

#[derive(Debug)]
enum Layer {
    Linear {
        weight: Tensor,
        bias: Tensor,
    },
    Conv2d {
        weight: Tensor,
        bias: Tensor,
        stride: usize,
        padding: usize,
    },
    Relu,
    MaxPool2d {
        kernel: usize,
    },
    Flatten,
    Select {
        index: Tensor,
    },
}

impl DenseNet {
    /// Brings the weights to a device.
    ///
    /// # Errors
    /// If the device fails.
    #[expect(
        clippy::missing_panics_doc,
        reason = "a net has what its network needs"
    )]
    pub fn new(net: &PrunedNet, device: &Device) -> Result<Self> {
        let mut weights = net.layers().iter();
        let mut next = || {
            weights
                .next()
                .expect("a net has the weights of its network")
        };
        let mut selections = net.selections().iter();
        let layers = net.spec().layers.iter().map(|layer| {
            Ok(match *layer {
                LayerSpec::Linear { .. } => {
                    let layer = next();
                    let bias = Tensor::new(&layer.bias[..], device)?;
                    Layer::Linear {
                        weight: dense_weight(layer, device)?.t()?,
                        bias,
                    }
                }
                LayerSpec::Conv2d {
                    stride, padding, ..
                } => {
                    let layer = next();
                    let bias = Tensor::new(&layer.bias[..], device)?.reshape((1, (), 1, 1))?;
                    let weight = dense_weight(layer, device)?;
                    Layer::Conv2d {
                        weight,
                        bias,
                        stride,
                        padding,
                    }
                }
                LayerSpec::Relu {} => Layer::Relu,
                LayerSpec::MaxPool2d { kernel } => Layer::MaxPool2d { kernel },
                LayerSpec::Flatten {} => Layer::Flatten,
                LayerSpec::Select { .. } => {
                    let selection = selections.next().expect("a net has its selections");
                    let index = Tensor::new(&selection.index[..], device)?;
                    Layer::Select { index }
                }
            })
        });
        Ok(Self {
            input: net.spec().input.clone(),
            scale: net.spec().normalize.scale,
            mean: statistic(&net.mean_values(), net.spec(), device)?,
            std: statistic(&net.std_values(), net.spec(), device)?,
            layers: layers.collect::<Result<_>>()?,
        })
    }
}

impl Module for DenseNet {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let batch = x.dim(0)?;
        let shape: Vec<usize> = std::iter::once(batch)
            .chain(self.input.iter().copied())
            .collect();
        let pixels = x.to_dtype(DType::F32)?.reshape(shape)?;
        let mut x = (pixels * self.scale)?
            .broadcast_sub(&self.mean)?
            .broadcast_div(&self.std)?;
        for layer in &self.layers {
            x = match layer {
                Layer::Linear { weight, bias } => x
                    .flatten_from(1)?
                    .contiguous()?
                    .matmul(weight)?
                    .broadcast_add(bias)?,
                Layer::Conv2d {
                    weight,
                    bias,
                    stride,
                    padding,
                } => x
                    .conv2d(weight, *padding, *stride, 1, 1)?
                    .broadcast_add(bias)?,
                Layer::Select { index } => x.contiguous()?.index_select(index, 1)?,
                Layer::Relu => x.relu()?,
                Layer::MaxPool2d { kernel } => x.max_pool2d(*kernel)?,
                Layer::Flatten => x.flatten_from(1)?,
            };
        }
        Ok(x)
    }
}

fn dense_weight(layer: &PrunedLayer, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(layer.weight.to_dense(), &layer.shape[..], device)
}

/// One number an input value, as a tensor that broadcasts over `[batch, ..input]`.
fn statistic(values: &PerInput, spec: &NetSpec, device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = (0..spec.input_len())
        .map(|index| values.at(index))
        .collect();
    Tensor::from_vec(values, &spec.input[..], device)
}

#[cfg(test)]
mod tests {
    use super::super::SparseNet;
    use super::*;
    use crate::prune_checkpoint;
    use crate::testing::{random_checkpoint, random_samples};

    /// Sums of a few hundred products in another order.
    const TOLERANCE: f32 = 1e-4;

    #[test]
    fn sparse_and_dense_candle_agree() {
        for seed in 0..40 {
            let net = prune_checkpoint(&random_checkpoint(seed), None).unwrap();
            let len = net.spec().input_len();
            for n in [1, 3, 8, 33] {
                let pixels: Vec<u8> = random_samples(net.spec(), n, seed).images().to_vec();
                let sparse = SparseNet::new(&net).unwrap();
                let x = Tensor::from_vec(pixels.clone(), (n, len), &Device::Cpu).unwrap();
                let dense = DenseNet::new(&net, &Device::Cpu)
                    .unwrap()
                    .forward(&x)
                    .unwrap();
                let dense = dense.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let scale = dense.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
                let logits = sparse.logits(&pixels, n).unwrap();
                for (sparse, dense) in logits.iter().zip(&dense) {
                    assert!(
                        (sparse - dense).abs() < TOLERANCE * scale,
                        "{seed}: {sparse} {dense}"
                    );
                }
                for dtype in [DType::U8, DType::F32, DType::F64] {
                    let out = sparse.forward(&x.to_dtype(dtype).unwrap()).unwrap();
                    assert_eq!(out.flatten_all().unwrap().to_vec1::<f32>().unwrap(), logits);
                }
                // A sample's logits do not depend on the batch that it is in.
                let first = sparse.logits(&pixels[..len], 1).unwrap();
                assert_eq!(first[..], logits[..first.len()]);
            }
        }
    }
}
