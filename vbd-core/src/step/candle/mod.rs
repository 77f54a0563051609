//! The Candle engine: layers and autograd, on any device.

mod gate;
mod variable;
mod weight;

use candle_core::{DType, Device, Tensor};

use self::gate::CandleGate;
pub(crate) use self::variable::{StepDescent, Variable};
use self::weight::CandleWeight;
use super::cpu::cannot_train;
use super::{At, Batch, Evaluation, Objective, Step};
use crate::error::{Error, Result};
use crate::gate::after_activation;
use crate::layers::Masking;
use crate::loss::{Score, TargetTensor, Targets};
use crate::noise::Stream;
use crate::ops;
use crate::ops::batch_norm::CandleNorm;
use crate::weight::{Parameters, State};
use vbd_net::data::{Samples, Values};
use vbd_net::graph::{NodeId, TensorSlot, Window};
use vbd_net::spec::{LayerSpec, Loss, NetSpec, Normalizer};

/// Batch size of evaluation.
const EVALUATION_BATCH: usize = 1000;

/// Engine that trains a network on any of Candle's devices.
pub struct CandleStep {
    device: Device,
    spec: NetSpec,
    objective: Objective,
    scale: f64,
    mean: Tensor,
    std: Tensor,
    layers: Vec<LayerNode>,
    /// Value of each node of the graph, after its gate.
    nodes: Vec<usize>,
    /// Values of the last [`Step::outputs`].
    drawn: Vec<Tensor>,
    /// States shared by all weights of a method.
    net: Vec<(State, Variable)>,
}

/// A layer and the numbers of its input values: 0 is the input, `i + 1` the output of layer `i`.
struct LayerNode {
    layer: CandleLayer,
    inputs: Vec<usize>,
}

enum CandleLayer {
    Weight(CandleWeight),
    Gate(CandleGate),
    Norm(CandleNorm),
    Plain(LayerSpec, Option<Window>),
}

impl CandleStep {
    /// Creates the engine on a device.
    ///
    /// # Errors
    /// [`vbd_net::Error::Spec`] if the network is invalid; [`crate::Error::Shape`] if the
    /// parameters do not match it; or if the device fails.
    pub fn new(
        spec: &NetSpec,
        objective: Objective,
        normalizer: &Normalizer,
        parameters: &Parameters,
        device: &Device,
    ) -> Result<Self> {
        objective.check(spec.weights()?.len())?;
        let statistic = |values: &[f32]| Tensor::from_slice(values, (1, values.len()), device);
        let (layers, nodes) = compile(spec, &objective, parameters, device)?;
        Ok(Self {
            layers,
            nodes,
            drawn: Vec::new(),
            net: net_states(parameters, device)?,
            device: device.clone(),
            spec: spec.clone(),
            objective,
            scale: f64::from(normalizer.scale),
            mean: statistic(&normalizer.mean)?,
            std: statistic(&normalizer.std)?,
        })
    }

    /// Returns the normalised inputs of a batch, `[batch, input_len]`.
    fn inputs(&self, batch: &Batch) -> Result<Tensor> {
        let shape = (batch.len(), self.spec.input_len());
        let pixels = match batch.inputs() {
            Values::U8(pixels) => Tensor::from_slice(pixels, shape, &self.device)?,
            Values::F32(pixels) => Tensor::from_slice(pixels, shape, &self.device)?,
        };
        let x = (pixels.to_dtype(DType::F32)? * self.scale)?
            .broadcast_sub(&self.mean)?
            .broadcast_div(&self.std)?;
        Ok(x)
    }

    /// Returns the targets of a batch with these inputs.
    fn targets(&self, batch: &Batch, x: &Tensor) -> Result<TargetTensor> {
        Ok(match self.spec.loss {
            Loss::CrossEntropy => {
                let labels = batch.labels().unwrap_or_default();
                let labels: Vec<u32> = labels.iter().map(|&label| u32::from(label)).collect();
                let shape = (labels.len(), 1);
                TargetTensor::Labels(Tensor::from_vec(labels, shape, &self.device)?)
            }
            Loss::Mse => TargetTensor::Values(x.clone()),
        })
    }

    fn weights(&self) -> impl Iterator<Item = &CandleWeight> {
        self.layers.iter().filter_map(|node| match &node.layer {
            CandleLayer::Weight(weight) => Some(weight),
            _ => None,
        })
    }

    fn gates(&self) -> impl Iterator<Item = &CandleGate> {
        self.layers.iter().filter_map(|node| match &node.layer {
            CandleLayer::Gate(gate) => Some(gate),
            _ => None,
        })
    }

    /// Computes the outputs of normalised inputs, `[batch, outputs]`, with noise if `at` is given.
    fn forward(&self, x: &Tensor, at: Option<&At>) -> Result<Tensor> {
        let shape = [&[x.dim(0)?], &self.spec.input[..]].concat();
        let mut values = self.values(vec![x.reshape(shape)?], at)?;
        let outputs = values.pop().expect("a network has layers");
        Ok(outputs.flatten_from(1)?)
    }

    /// Completes the values of all layers, given the first ones.
    fn values(&self, mut values: Vec<Tensor>, at: Option<&At>) -> Result<Vec<Tensor>> {
        let draw = |stream| {
            at.map(|at| {
                let masking = if at.kl_scale > 0.0 {
                    Masking::On
                } else {
                    Masking::Off
                };
                (at.key(stream), masking)
            })
        };
        for LayerNode { layer, inputs } in &self.layers[values.len() - 1..] {
            let first = &values[inputs[0]];
            let y = match layer {
                CandleLayer::Norm(norm) => norm.forward(first, at.is_some())?,
                CandleLayer::Plain(layer, window) => {
                    let inputs = inputs.iter().map(|&input| values[input].clone());
                    ops::forward(layer, window.as_ref(), &inputs.collect::<Vec<_>>())?
                }
                CandleLayer::Gate(gate) => gate.forward(first, draw(Stream::gate(gate.number)))?,
                CandleLayer::Weight(weight) => {
                    let draw = draw(Stream::layer(weight.number));
                    weight.forward(first, &self.net_of(weight.number), draw)?
                }
            };
            values.push(y);
        }
        Ok(values)
    }

    /// Stores the values of all layers. Returns the outputs in host memory.
    fn keep(&mut self, values: &[Tensor]) -> Result<Vec<f32>> {
        self.drawn = values.iter().map(Tensor::detach).collect();
        let outputs = self.drawn.last().expect("a network has layers");
        Ok(outputs.flatten_all()?.to_vec1()?)
    }

    /// Returns the net's states that a weight's method uses.
    fn net_of(&self, number: usize) -> Vec<Tensor> {
        let states = self.objective.weights[number].method.net_states();
        let values = states.iter().filter_map(|own| {
            let shared = self.net.iter().find(|(state, _)| state.name == own.name);
            shared.map(|(_, variable)| variable.value().clone())
        });
        values.collect()
    }

    fn kl_sum(&self) -> Result<Option<Tensor>> {
        let weights = self
            .weights()
            .map(|weight| weight.penalty(&self.net_of(weight.number)));
        let of_net = self.objective.net_methods().map(|setting| {
            let mut numbers = self.objective.weights.iter();
            let number = numbers
                .position(|weight| std::ptr::eq(weight, setting))
                .unwrap_or_default();
            let penalty = setting.method.tensor_shared_penalty(&self.net_of(number))?;
            penalty
                .map(|penalty| penalty * setting.kl_weight)
                .transpose()
        });
        let weights = weights.chain(of_net);
        let gates = self.gates().map(CandleGate::kl);
        let mut sum: Option<Tensor> = None;
        for kl in weights.chain(gates) {
            sum = match (sum, kl?) {
                (Some(sum), Some(kl)) => Some((sum + kl)?),
                (sum, kl) => sum.or(kl),
            };
        }
        Ok(sum)
    }
}

fn net_states(parameters: &Parameters, device: &Device) -> Result<Vec<(State, Variable)>> {
    let states = parameters.net.iter().map(|state| {
        let len = [state.parameter.value.len()];
        let variable = Variable::new(&state.parameter, &len, device)?;
        Ok((state.clone(), variable))
    });
    states.collect()
}

/// Creates the layers and gates of a network with their parameters.
fn compile(
    spec: &NetSpec,
    objective: &Objective,
    parameters: &Parameters,
    device: &Device,
) -> Result<(Vec<LayerNode>, Vec<usize>)> {
    let (graph, gates) = (spec.resolve()?, &objective.gates);
    parameters.check(&graph, gates)?;
    let mut layers = Vec::new();
    // The value of each node.
    let mut values = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes() {
        let mut value = 0;
        if let Some(spec_of) = graph.layer(id, spec) {
            if !spec_of.kind().can_train() {
                return Err(cannot_train(spec, &node.label));
            }
            let layer = match node.slot {
                TensorSlot::Weight(number) => {
                    let (weight, own) = (&graph.weights()[number], &parameters.layers[number]);
                    CandleLayer::Weight(CandleWeight::new(
                        number,
                        objective.weights[number].clone(),
                        weight,
                        node.window,
                        own,
                        device,
                    )?)
                }
                TensorSlot::Norm(number) => {
                    let (norm, own) = (&graph.norms()[number], &parameters.norms[number]);
                    CandleLayer::Norm(CandleNorm::new(norm, own, device)?)
                }
                _ => CandleLayer::Plain(spec_of.clone(), node.window),
            };
            let inputs = node.inputs.iter().map(|input| values[input.index()]);
            let inputs = inputs.collect();
            layers.push(LayerNode { layer, inputs });
            value = layers.len();
        }
        let numbered = gates.iter().enumerate();
        for (number, gate) in numbered.filter(|(_, gate)| gate.node == id) {
            layers.push(LayerNode {
                layer: CandleLayer::Gate(CandleGate::new(
                    number,
                    gate,
                    &parameters.gates[number],
                    device,
                )?),
                inputs: vec![value],
            });
            value = layers.len();
        }
        values.push(value);
    }
    Ok((layers, values))
}

impl Step for CandleStep {
    fn step(&mut self, batch: &Batch, at: &At) -> Result<f64> {
        batch.check(&self.spec)?;
        self.drawn.clear();
        let x = self.inputs(batch)?;
        let nll = self
            .targets(batch, &x)?
            .nll_sum(&self.forward(&x, Some(at))?)?;
        let mut loss = (&nll * (1.0 / batch.len() as f64))?;
        if let Some(kl) = self.kl_sum()? {
            loss = (loss + (kl * self.objective.kl_factor(at.kl_scale))?)?;
        }
        let gradients = loss.backward()?;
        let descent = StepDescent {
            gradients: &gradients,
            optimizer: self.objective.optimizer,
            at,
            lr_factor: 1.0,
        };
        let update = self.objective.update(at);
        let net: Vec<Vec<Tensor>> = (0..self.objective.weights.len())
            .map(|number| self.net_of(number))
            .collect();
        for (state, variable) in &mut self.net {
            variable.update(descent.of_state(state.lr_factor), Ok)?;
        }
        for placed in &mut self.layers {
            match &mut placed.layer {
                CandleLayer::Weight(weight) => {
                    weight.update(descent, &net[weight.number], &update)?;
                }
                CandleLayer::Gate(gate) => gate.update(descent)?,
                CandleLayer::Norm(norm) => norm.update(descent)?,
                CandleLayer::Plain(..) => {}
            }
        }
        Ok(f64::from(nll.to_scalar::<f32>()?))
    }

    fn outputs(&mut self, batch: &Batch, at: &At) -> Result<Vec<f32>> {
        batch.check(&self.spec)?;
        let shape = [&[batch.len()], &self.spec.input[..]].concat();
        let x = self.inputs(batch)?.reshape(shape)?;
        let values = self.values(vec![x], Some(at))?;
        self.keep(&values)
    }

    fn outputs_from(&mut self, node: NodeId, values: &[f32], at: &At) -> Result<Vec<f32>> {
        if node == NodeId::INPUT {
            return Err(Error::RunFromInput);
        }
        let graph = self.spec.resolve()?;
        let node = after_activation(&graph, node);
        let drawn = self.drawn.get(self.nodes[node.index()]);
        let expected = drawn.map_or_else(Vec::new, |drawn| drawn.dims().to_vec());
        if drawn.is_none() || values.len() != expected.iter().product::<usize>() {
            return Err(Error::Shape {
                name: format!("values after `{}`", graph.node(node).label),
                found: vec![values.len()],
                expected,
            });
        }
        let mut before = std::mem::take(&mut self.drawn);
        before.truncate(self.nodes[node.index()]);
        before.push(Tensor::from_slice(values, expected, &self.device)?);
        let values = self.values(before, Some(at))?;
        self.keep(&values)
    }

    fn kl(&self) -> Result<f64> {
        let sum = self.kl_sum()?.map(|kl| kl.to_scalar::<f32>()).transpose()?;
        Ok(sum.map_or(0.0, f64::from))
    }

    fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation> {
        let mut score = Score::new(self.spec.loss);
        let mut batch = Batch::default();
        for start in (0..samples.len()).step_by(EVALUATION_BATCH) {
            let end = samples.len().min(start + EVALUATION_BATCH);
            batch.take_range(samples, start..end);
            batch.check(&self.spec)?;
            let x = self.inputs(&batch)?;
            let outputs = self.forward(&x, None)?;
            debug_assert_eq!(outputs.dims(), [batch.len(), self.spec.output_len()]);
            let turned = |x: &Tensor| x.t()?.flatten_all()?.to_vec1::<f32>();
            let outputs = turned(&outputs)?;
            let values;
            let targets = match self.spec.loss {
                Loss::CrossEntropy => Targets::Labels(batch.labels().unwrap_or_default()),
                Loss::Mse => {
                    values = turned(&x)?;
                    let samples = batch.len();
                    Targets::Values {
                        values: &values,
                        samples,
                    }
                }
            };
            score.add(&outputs, targets, batch.len());
        }
        Ok(score.finish())
    }

    fn parameters(&self) -> Result<Parameters> {
        Ok(Parameters {
            layers: self
                .weights()
                .map(CandleWeight::parameters)
                .collect::<Result<_>>()?,
            norms: self
                .layers
                .iter()
                .filter_map(|node| match &node.layer {
                    CandleLayer::Norm(norm) => Some(norm.parameters()),
                    _ => None,
                })
                .collect::<Result<_>>()?,
            gates: self
                .gates()
                .map(CandleGate::parameters)
                .collect::<Result<_>>()?,
            net: self
                .net
                .iter()
                .map(|(state, variable)| Ok(state.with(variable.parameter()?)))
                .collect::<Result<_>>()?,
        })
    }

    fn load(&mut self, parameters: &Parameters) -> Result<()> {
        (self.layers, self.nodes) = compile(&self.spec, &self.objective, parameters, &self.device)?;
        self.drawn.clear();
        self.net = net_states(parameters, &self.device)?;
        Ok(())
    }
}
