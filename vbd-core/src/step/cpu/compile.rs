//! From a network and its gates to the layers that compute.
//!
//! Plain weights between dead units leave the computation: each weight keeps only the rows of units that
//! live and the columns that read units that live. A weight with a posterior keeps its rows, which its
//! noise is drawn by, and loses its dead entries one by one (see [`super::form`]).

use super::form::Compaction;
use super::gate::Gate;
use super::geometry::{Geometry, narrow};
use super::layer::{Layer, Pool, Weighted};
use crate::error::{Error, Result};
use crate::gate::Gate as GateSpec;
use crate::kernels::pool::Window;
use crate::step::Objective;
use crate::weight::{GateParameters, Narrow, Parameters};
use vbd_net::spec::{LayerSpec, NetSpec, Shape};

/// The layers that compute, each weight with the ReLU behind it.
pub(super) struct Compiled {
    pub(super) layers: Vec<Layer>,
    /// `units[i]` values of a sample go into layer `i`; the last are the logits.
    pub(super) units: Vec<usize>,
    /// The input values that are read.
    pub(super) inputs: Vec<u32>,
}

/// What is computed of the values between two layers.
struct Flow {
    /// Features or channels, rising.
    units: Vec<u32>,
    /// Values of each.
    area: usize,
}

impl Flow {
    fn whole(units: usize, area: usize) -> Self {
        Self {
            units: (0..narrow(units)).collect(),
            area,
        }
    }

    fn len(&self) -> usize {
        self.units.len() * self.area
    }

    /// The same values, each of them a unit.
    fn flat(&self) -> Self {
        let area = narrow(self.area);
        let units = self.units.iter();
        Self {
            units: units
                .flat_map(|&unit| unit * area..(unit + 1) * area)
                .collect(),
            area: 1,
        }
    }
}

/// Compiles a network whose parameters and objective are known to be its own.
pub(super) fn compile(
    spec: &NetSpec,
    objective: &Objective,
    parameters: &Parameters,
    compaction: Compaction,
) -> Result<Compiled> {
    let is_plain = |layer: &crate::weight::LayerParameters| layer.weight.log_sigma2().is_none();
    let narrows = compaction != Compaction::Never && parameters.layers.iter().all(is_plain);
    let alive = |gate: &GateSpec, own: &GateParameters| -> Vec<u32> {
        let units = (0..)
            .zip(own.alive())
            .filter(|&(_, alive)| alive || !narrows);
        let units: Vec<u32> = units.map(|(unit, _)| unit).collect();
        debug_assert!(units.len() <= gate.units);
        // No layer is empty: where all units are dead, one stays, and gives zeros.
        if units.is_empty() { vec![0] } else { units }
    };
    let gates: Vec<_> = objective
        .gates
        .iter()
        .zip(&parameters.gates)
        .map(|(gate, own)| (gate, own, alive(gate, own)))
        .collect();

    let shapes = spec.shapes()?;
    let mut weights = spec
        .weights()?
        .into_iter()
        .zip(Geometry::of(spec)?)
        .enumerate();
    let mut flow = input_flow(spec, shapes[0]);
    if let Some((.., units)) = gates.iter().find(|(gate, ..)| gate.place == 0) {
        flow.units.clone_from(units);
    }
    let inputs = flow.flat().units;
    let (mut layers, mut units) = (Vec::new(), vec![flow.len()]);
    let mut next_gate = gates.iter().peekable();
    for (index, layer) in spec.layers.iter().enumerate() {
        while let Some((gate, own, alive)) = next_gate.next_if(|(gate, ..)| gate.place == index) {
            let source = (*alive != flow.units).then(|| places(alive, &flow.units));
            let after = &gate.after;
            let source = source.transpose().map_err(|unit| Error::GatesContradict {
                after: after.clone(),
                unit,
            })?;
            flow.units.clone_from(alive);
            let gate = Gate::new(gate, (alive.clone(), source), own)?;
            units.push(gate.len());
            layers.push(Layer::Gate(gate));
        }
        layers.push(match layer {
            LayerSpec::Flatten {} => {
                flow = flow.flat();
                continue;
            }
            LayerSpec::Select { name, .. } => return Err(spec.cannot_train(name).into()),
            LayerSpec::Relu {} if follows_weight(spec, index) => continue,
            LayerSpec::Relu {} => Layer::Relu,
            LayerSpec::Linear { .. } | LayerSpec::Conv2d { .. } => {
                let (number, (weight, geometry)) =
                    weights.next().expect("every such layer has a weight");
                if matches!(layer, LayerSpec::Linear { .. }) {
                    flow = flow.flat();
                }
                let own = gates
                    .iter()
                    .find(|(gate, ..)| gate.producer == Some(number));
                let rows = own.map_or_else(
                    || Flow::whole(weight.rows(), 1).units,
                    |(.., alive)| alive.clone(),
                );
                let is_whole = rows.len() == weight.rows() && flow.units.len() == weight.shape[1];
                let narrow = (!is_whole).then(|| Narrow::new(&weight.shape, &rows, &flow.units));
                let geometry = geometry.narrowed(rows.len(), flow.units.len());
                let relu = follows_weight(spec, index + 1);
                let reads_pixels = layers.is_empty() && matches!(layer, LayerSpec::Linear { .. });
                flow = Flow {
                    units: rows,
                    area: geometry.positions,
                };
                Layer::Weighted(Weighted::new(
                    (&weight.layer, &weight.shape),
                    (geometry, narrow),
                    (relu, reads_pixels, compaction),
                    objective.layer_kl_weights[number],
                ))
            }
            LayerSpec::MaxPool2d { kernel } => {
                let (kernel, shape) = (*kernel, shapes[index]);
                let Shape::Image { height, width, .. } = shape else {
                    unreachable!("shape inference lets only images into a pool");
                };
                flow.area = (height / kernel) * (width / kernel);
                Layer::Pool(Pool::new(Window {
                    kernel,
                    height,
                    width,
                }))
            }
        });
        units.push(flow.len());
    }
    Ok(Compiled {
        layers,
        units,
        inputs,
    })
}

/// What comes in: of an image that is flattened at once, its values; else its channels.
fn input_flow(spec: &NetSpec, input: Shape) -> Flow {
    match input {
        Shape::Image {
            channels,
            height,
            width,
        } if !spec.is_flat_at(0) => Flow::whole(channels, height * width),
        shape => Flow::whole(shape.len(), 1),
    }
}

/// Whether the layer at `index` is the ReLU of the weight before it.
fn follows_weight(spec: &NetSpec, index: usize) -> bool {
    let before = index.checked_sub(1).map(|before| &spec.layers[before]);
    spec.layers.get(index) == Some(&LayerSpec::Relu {})
        && before.is_some_and(|l| l.name().is_some())
}

/// Where each of `some` lies in `all`; both rise. The first that is not there, if one is not.
fn places(some: &[u32], all: &[u32]) -> Result<Vec<u32>, u32> {
    let place = |unit: &u32| all.binary_search(unit).map(narrow).map_err(|_| *unit);
    some.iter().map(place).collect()
}
