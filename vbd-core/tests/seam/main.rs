//! Two methods outside the crate, written with the public traits only: a mask whose entries can return
//! (Guo et al. 2016) and a mixture shared by all weights (Ullrich et al. 2017).
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics; what is computed in f64 is trained in f32"
)]

#[path = "../support/mod.rs"]
mod support;

mod mixture;
mod splicing;

use std::sync::Arc;

use candle_core::Device;
use support::engine::{BATCH, assert_close, at, indices};
use support::{dataset, mlp};
use vbd_core::method::WeightMethod;
use vbd_core::optim::Optimizer;
use vbd_core::recipe::{Method, MethodKind, Recipe, ThetaInit, WeightSetting};
use vbd_core::step::{At, Batch, CandleStep, CpuConfig, CpuStep, Objective, Step};
use vbd_core::weight::{Parameter, Parameters, Weight};
use vbd_net::data::Dataset;
use vbd_net::spec::{NetSpec, Normalizer};

/// Both engines on one small problem, with a method that no recipe knows.
struct Problem {
    cpu: CpuStep,
    candle: CandleStep,
    data: Dataset,
}

fn spec() -> NetSpec {
    mlp(&[1, 6, 5], &[17, 4])
}

/// Fresh parameters of the problem's network.
fn parameters(method: &dyn WeightMethod) -> Parameters {
    let recipe = Recipe {
        summary: String::new(),
        model: None,
        data: None,
        method: Method::new(MethodKind::Dense),
        train: vbd_core::recipe::Train::default(),
    };
    let mut parameters = Parameters::init(&spec(), &recipe).unwrap();
    for layer in &mut parameters.layers {
        let shape = layer.weight.shape().to_vec();
        let theta = Parameter::new(layer.weight.theta().value.clone());
        layer.weight = Weight::dense(&shape, theta, method.states(&shape)).unwrap();
    }
    parameters.net = method.net_states();
    parameters
}

impl Problem {
    fn new(method: &Arc<dyn WeightMethod>, parameters: &Parameters, threads: usize) -> Self {
        let data = dataset([1, 6, 5], 4, 60, 17);
        let setting = WeightSetting {
            method: Arc::clone(method),
            theta_init: ThetaInit::He,
            kl_weight: 1.0,
        };
        let objective = Objective {
            n_train: data.train.len(),
            weights: vec![setting; 2],
            kl_weight: 1.0,
            optimizer: Optimizer::Adam,
            gates: Vec::new(),
        };
        let normalizer = Normalizer::measure(&spec(), &data.train);
        let config = CpuConfig {
            batch_size: BATCH,
            threads,
            compaction: true,
        };
        let candle = CandleStep::new(
            &spec(),
            objective.clone(),
            &normalizer,
            parameters,
            &Device::Cpu,
        );
        Self {
            cpu: CpuStep::new(&spec(), objective, normalizer, parameters, config).unwrap(),
            candle: candle.unwrap(),
            data,
        }
    }

    /// A step of both engines.
    fn step(&mut self, step: u32) {
        let indices = indices(step);
        let batch = Batch::of(&self.data.train, &indices);
        // Steps large enough for entries to cross their thresholds both ways.
        let at = At {
            lr: 1e-2,
            ..at(step, 1.0)
        };
        self.cpu.step(&batch, &at).unwrap();
        self.candle.step(&batch, &at).unwrap();
    }

    /// The batch's mean cross-entropy without noise or masks other than the parameters' own.
    fn nll(method: &Arc<dyn WeightMethod>, parameters: &Parameters) -> f64 {
        let mut problem = Self::new(method, parameters, 1);
        let indices = indices(0);
        let batch = Batch::of(&problem.data.train, &indices);
        problem.cpu.step(&batch, &at(0, 1.0)).unwrap() / indices.len() as f64
    }

    fn assert_engines_agree(&self) {
        let [a, b] = [&self.cpu as &dyn Step, &self.candle].map(|e| e.parameters().unwrap());
        for (a, b) in a.layers.iter().zip(&b.layers) {
            let [x, y] = [a, b].map(|layer| layer.weight.theta());
            assert_close(&x.m, &y.m, 2e-4, &a.name);
            assert_close(&x.value, &y.value, 2e-4, &a.name);
            for (x, y) in a.weight.states().zip(b.weight.states()) {
                assert_close(&x.parameter.value, &y.parameter.value, 2e-4, x.name);
            }
        }
        for (x, y) in a.net.iter().zip(&b.net) {
            assert_close(&x.parameter.m, &y.parameter.m, 2e-4, x.name);
            assert_close(&x.parameter.value, &y.parameter.value, 2e-4, x.name);
        }
    }
}
