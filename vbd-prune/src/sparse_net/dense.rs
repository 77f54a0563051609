//! The dense net with Candle's operations, for other devices than the CPU.

use candle_core::{DType, Device, Module, Result, Tensor};
use vbd_core::ops::{convolution, forward};
use vbd_net::graph::{NodeId, Shape};
use vbd_net::ops::NodeTensors;
use vbd_net::spec::{LayerSpec, NetSpec};
use vbd_net::statistic::PerInput;

use vbd_net::{PrunedLayer, PrunedNet};

/// The net with dense weights on one device. [`SparseNet`](super::SparseNet) runs it on other
/// devices than the CPU, and tests compare the sparse runtime with it.
#[derive(Debug)]
pub struct DenseNet {
    net: PrunedNet,
    mean: Tensor,
    std: Tensor,
    /// Tensors of each node.
    tensors: Vec<Vec<Tensor>>,
}

impl DenseNet {
    /// Copies the weights to a device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(net: &PrunedNet, device: &Device) -> Result<Self> {
        let tensors = net.graph().nodes().map(|(id, node)| {
            let units = |values: &[f32]| {
                let shape: &[usize] = match node.shape {
                    Shape::Features(_) => &[values.len()],
                    Shape::Image { .. } => &[values.len(), 1, 1],
                };
                Tensor::from_slice(values, shape, device)
            };
            Ok(match net.tensors(id) {
                NodeTensors::Nothing => Vec::new(),
                NodeTensors::Weight(layer) => {
                    let weight = dense_weight(layer, device)?;
                    vec![weight, units(&layer.bias)?]
                }
                NodeTensors::Index(index) => vec![Tensor::new(index, device)?],
                NodeTensors::Scale(scale) => vec![units(&scale.weight)?, units(&scale.bias)?],
            })
        });
        Ok(Self {
            mean: statistic(&net.mean_values(), net.spec(), device)?,
            std: statistic(&net.std_values(), net.spec(), device)?,
            tensors: tensors.collect::<Result<_>>()?,
            net: net.clone(),
        })
    }

    fn node(&self, id: NodeId, inputs: &[Tensor]) -> Result<Tensor> {
        let graph = self.net.graph();
        let (layer, node) = (graph.layer(id, self.net.spec()), graph.node(id));
        let tensors = &self.tensors[id.index()][..];
        match (layer, tensors) {
            (Some(LayerSpec::Linear(_)), [weight, bias]) => {
                let x = inputs[0].flatten_from(1)?.contiguous()?;
                x.matmul(&weight.t()?)?.broadcast_add(bias)
            }
            (Some(LayerSpec::Conv2d(_)), [weight, bias]) => {
                let (Some(window), Some(own)) = (node.window, graph.weight(id)) else {
                    candle_core::bail!("a convolution without a window")
                };
                let y = convolution(&inputs[0], weight, window, own.groups)?;
                y.broadcast_add(bias)
            }
            // Candle's operation: no gradient is needed.
            (Some(LayerSpec::Relu(_)), _) => inputs[0].relu(),
            (_, [weight, bias]) => inputs[0].broadcast_mul(weight)?.broadcast_add(bias),
            (_, [index]) => inputs[0].contiguous()?.index_select(index, 1),
            (Some(layer), _) => forward(layer, node.window.as_ref(), inputs),
            (None, _) => candle_core::bail!("the input is not a layer"),
        }
    }
}

impl Module for DenseNet {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let spec = self.net.spec();
        let shape = [&[x.dim(0)?], &spec.input[..]].concat();
        let pixels = x.to_dtype(DType::F32)?.reshape(shape)?;
        let x = (pixels * spec.normalize.scale)?
            .broadcast_sub(&self.mean)?
            .broadcast_div(&self.std)?;
        let mut values = vec![x];
        for (id, node) in self.net.graph().nodes().skip(1) {
            let inputs = node
                .inputs
                .iter()
                .map(|input| values[input.index()].clone());
            values.push(self.node(id, &inputs.collect::<Vec<_>>())?);
        }
        values.swap_remove(values.len() - 1).flatten_from(1)
    }
}

fn dense_weight(layer: &PrunedLayer, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(layer.weight.to_dense(), &layer.shape[..], device)
}

/// Returns numbers per input as a tensor that broadcasts over `[batch, ..input]`.
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
    use crate::testing::{net_of_all_kinds, random_checkpoint, random_samples};

    /// Tolerance for sums of a few hundred products in another order.
    const TOLERANCE: f32 = 1e-4;

    #[test]
    fn sparse_and_dense_candle_agree() {
        let pruned = |seed| prune_checkpoint(&random_checkpoint(seed), None).unwrap();
        let nets = (0..40).map(|seed| (seed, pruned(seed)));
        let of_all_kinds = (100..160).map(|seed| (seed, net_of_all_kinds(seed)));
        for (seed, net) in nets.chain(of_all_kinds) {
            let len = net.spec().input_len();
            for n in [1, 3, 8, 33] {
                let pixels: Vec<u8> = random_samples(net.spec(), n, seed)
                    .inputs()
                    .bytes()
                    .unwrap()
                    .to_vec();
                let sparse = SparseNet::new(&net).unwrap();
                let x = Tensor::from_vec(pixels.clone(), (n, len), &Device::Cpu).unwrap();
                let dense = DenseNet::new(&net, &Device::Cpu)
                    .unwrap()
                    .forward(&x)
                    .unwrap();
                let dense = dense.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let scale = dense.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
                let logits = sparse.outputs(&pixels, n).unwrap();
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
                // The logits of a sample do not depend on the rest of the batch.
                let first = sparse.outputs(&pixels[..len], 1).unwrap();
                assert_eq!(first[..], logits[..first.len()]);
            }
        }
    }
}
