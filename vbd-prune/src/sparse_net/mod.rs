//! A runnable pruned net: raw pixels in, logits or values out, as a Candle module or on slices.

mod dense;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, DeviceLocation, Module, Tensor};
use vbd_core::step::Evaluation;
use vbd_core::train::Checkpoint;
use vbd_net::data::{Samples, Values};
use vbd_net::output::{Score, SquaredErrors, mse, softmax};
use vbd_net::spec::{Loss, NetSpec};

pub use self::dense::DenseNet;
use crate::error::Result;
use crate::open::open;
use crate::weights::prune_checkpoint;
use vbd_net::PrunedNet;
use vbd_net::runtime::{Pixel, Plan, Session};

/// Maximum number of samples per batch in [`SparseNet::evaluate`].
const EVALUATED_AT_ONCE: usize = 4096;
/// Maximum number of outputs per batch, unless a sample has more: 16 MB.
const VALUES_AT_ONCE: usize = 1 << 22;

/// A runnable pruned net.
///
/// On the CPU it is a [`Plan`] with [`Session`]s, one per thread that calls concurrently. On
/// another device it runs the dense net with Candle's operations, with weights that are copied
/// there once.
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use vbd_net::{PrunedNet, spec::NetSpec};
/// use vbd_prune::SparseNet;
///
/// let spec = NetSpec::from_json(
///     r#"{"name": "tiny", "input": [4], "classes": 2,
///         "layer": [{"kind": "linear", "name": "fc1", "out_features": 2}]}"#,
/// )?;
/// let weight = vec![0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0];
/// let net = PrunedNet::from_parts(spec, [("fc1.weight", weight), ("fc1.bias", vec![0.5, 0.0])])?;
/// let net = SparseNet::new(&net)?;
/// let pixels = Tensor::new(&[[0_u8, 10, 20, 30]], &Device::Cpu)?;
/// assert_eq!(net.forward(&pixels)?.to_vec2::<f32>()?, [[20.5, 20.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SparseNet {
    net: PrunedNet,
    plan: Plan,
    /// Idle sessions.
    sessions: Mutex<Vec<Session>>,
    /// Dense net on each device used so far.
    elsewhere: Mutex<Vec<(DeviceLocation, Arc<DenseNet>)>>,
}

impl SparseNet {
    /// Creates a runnable net.
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    pub fn new(net: &PrunedNet) -> Result<Self> {
        Ok(Self {
            net: net.clone(),
            plan: Plan::new(net)?,
            sessions: Mutex::default(),
            elsewhere: Mutex::default(),
        })
    }

    /// Prunes a checkpoint at `threshold`, by default the training's.
    ///
    /// # Errors
    /// Those of [`prune_checkpoint`] and [`Plan::new`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, threshold: Option<f32>) -> Result<Self> {
        Self::new(&prune_checkpoint(checkpoint, threshold)?)
    }

    /// Opens a pruned file, a checkpoint or a run directory.
    ///
    /// # Errors
    /// Those of [`open`](crate::open()) and [`Plan::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(&open(path)?.net()?)
    }

    /// Returns the network.
    pub fn spec(&self) -> &NetSpec {
        self.net.spec()
    }

    /// Returns the plan used on the CPU.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Computes the outputs of `n` samples on the CPU: logits, or other values depending on the
    /// loss.
    ///
    /// # Shapes
    /// - `pixels`: `[n, input_len]`, row-major, channels first; bytes or f32
    /// - returns: `[n, output_len]`
    ///
    /// # Errors
    /// [`vbd_net::Error::Input`] if the number of pixels does not match.
    pub fn outputs<'a>(&self, pixels: impl Into<Values<'a>>, n: usize) -> Result<Vec<f32>> {
        match pixels.into() {
            Values::U8(pixels) => self.run(pixels, n),
            Values::F32(pixels) => self.run(pixels, n),
        }
    }

    /// Predicts one sample: class probabilities, or values with their loss.
    ///
    /// # Errors
    /// [`vbd_net::Error::Input`] if the sample does not have the network's input length.
    pub fn predict<'a>(&self, pixels: impl Into<Values<'a>>) -> Result<Prediction> {
        let pixels = pixels.into();
        let outputs = self.outputs(pixels, 1)?;
        Ok(match self.spec().loss {
            Loss::CrossEntropy => Prediction::Classes(softmax(&outputs)),
            Loss::Mse => {
                let mut errors = SquaredErrors::default();
                let error = mse::squared_error(&outputs, &self.net.normalize(pixels));
                errors.add(1, outputs.len(), error);
                Prediction::Values {
                    loss: errors.finish().quality().value(),
                    outputs,
                }
            }
        })
    }

    /// Evaluates the net on samples: error and cross-entropy for a classifier, else mean squared
    /// error. Sums are in sample order.
    ///
    /// # Errors
    /// [`vbd_net::Error::Input`] if the inputs have another size; for a classifier,
    /// [`vbd_net::Error::NoLabels`], or [`vbd_net::Error::Label`] if a label is out of range.
    pub fn evaluate(&self, samples: &Samples) -> Result<Evaluation> {
        match self.spec().loss {
            Loss::CrossEntropy => self.evaluate_classes(samples),
            Loss::Mse => self.evaluate_values(samples),
        }
    }

    fn evaluate_classes(&self, samples: &Samples) -> Result<Evaluation> {
        let net = || self.spec().name.clone();
        let classes = self.spec().output_len();
        let labels = samples
            .labels()
            .ok_or_else(|| vbd_net::Error::NoLabels { net: net() })?;
        let mut score = Score::default();
        self.in_blocks(samples, |first, _, outputs| {
            for ((index, &label), logits) in (first..)
                .zip(&labels[first..])
                .zip(outputs.chunks_exact(classes))
            {
                if usize::from(label) >= classes {
                    let net = net();
                    let error = vbd_net::Error::Label {
                        net,
                        index,
                        label,
                        classes,
                    };
                    return Err(error.into());
                }
                score.add(logits, usize::from(label));
            }
            Ok(())
        })?;
        Ok(score.finish())
    }

    fn evaluate_values(&self, samples: &Samples) -> Result<Evaluation> {
        let len = self.spec().output_len();
        let mut errors = SquaredErrors::default();
        self.in_blocks(samples, |_, inputs, outputs| {
            let targets = self.net.normalize(inputs);
            let pairs = outputs.chunks_exact(len).zip(targets.chunks_exact(len));
            for (outputs, targets) in pairs {
                errors.compare(outputs.iter().copied());
                errors.add(1, len, mse::squared_error(outputs, targets));
            }
            Ok(())
        })?;
        Ok(errors.finish())
    }

    /// Runs all samples in batches. `take` receives the index of a batch's first sample, its inputs
    /// and its outputs.
    fn in_blocks(
        &self,
        samples: &Samples,
        mut take: impl FnMut(usize, Values<'_>, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let len = samples.sample_len();
        let at_once =
            (VALUES_AT_ONCE / self.spec().output_len().max(1)).clamp(1, EVALUATED_AT_ONCE);
        for start in (0..samples.len()).step_by(at_once) {
            let end = (start + at_once).min(samples.len());
            let inputs = samples.inputs().range(start * len..end * len);
            take(start, inputs, &self.outputs(inputs, end - start)?)?;
        }
        Ok(())
    }

    fn run<T: Pixel>(&self, pixels: &[T], n: usize) -> Result<Vec<f32>> {
        let input_len = self.spec().input_len();
        if n.checked_mul(input_len) != Some(pixels.len()) {
            let error = vbd_net::Error::Input {
                net: self.spec().name.clone(),
                found: pixels.len(),
                samples: n,
                expected: input_len,
            };
            return Err(error.into());
        }
        let idle = || self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = idle().pop();
        let mut session = session.unwrap_or_else(|| self.plan.session());
        let outputs = session.run(pixels)?.to_vec();
        idle().push(session);
        Ok(outputs)
    }

    fn on_device(&self, x: &Tensor) -> candle_core::Result<Arc<DenseNet>> {
        let location = x.device().location();
        let mut nets = self
            .elsewhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, net)) = nets.iter().find(|(found, _)| *found == location) {
            return Ok(Arc::clone(net));
        }
        let net = Arc::new(DenseNet::new(&self.net, x.device())?);
        nets.push((location, Arc::clone(&net)));
        Ok(net)
    }
}

/// Prediction for one sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// Of a classifier: the probability of each class.
    Classes(Vec<f32>),
    /// Of a net with a squared error.
    Values {
        /// Outputs of the net.
        outputs: Vec<f32>,
        /// Squared error, averaged over outputs.
        loss: f64,
    },
}

/// Maps raw pixels to logits or values. The net normalises the pixels.
///
/// # Shapes
/// - `x`: `[batch, features]` or `[batch, channels, height, width]`, u8 or a float type
/// - returns: `[batch, output_len]`, f32
impl Module for SparseNet {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let batch = x.dim(0)?;
        if !x.device().is_cpu() {
            return self.on_device(x)?.forward(x);
        }
        let flat = x.flatten_all()?;
        let outputs = match x.dtype() {
            DType::U8 => self.run(&flat.to_vec1::<u8>()?, batch),
            _ => self.run(&flat.to_dtype(DType::F32)?.to_vec1::<f32>()?, batch),
        };
        let outputs = outputs.map_err(candle_core::Error::wrap)?;
        Tensor::from_vec(outputs, (batch, self.spec().output_len()), x.device())
    }
}
