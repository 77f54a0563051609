//! A pruned net that runs: raw pixels in, logits out, as a Candle module or over slices.

mod dense;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, DeviceLocation, Module, Tensor};
use vbd_core::step::Evaluation;
use vbd_core::train::Checkpoint;
use vbd_net::data::Samples;
use vbd_net::output::{Score, softmax};
use vbd_net::spec::NetSpec;

pub use self::dense::DenseNet;
use crate::error::Result;
use crate::open::open;
use crate::weights::prune_checkpoint;
use vbd_net::PrunedNet;
use vbd_net::runtime::{Pixel, Plan, Session};

/// Samples that go through the net together in [`SparseNet::evaluate`].
const EVALUATED_AT_ONCE: usize = 4096;

/// A pruned net that runs.
///
/// On a CPU it is a [`Plan`] with its [`Session`]s, one for each thread that calls at the same time. On
/// another device it runs the dense net with Candle's operations, on weights that are brought there
/// once.
///
/// ```
/// # use vbd_core::{recipe::{NetToml, Recipe}, train::*, weight::*};
/// # use vbd_net::spec::{NetSpec, Normalizer};
/// # let spec = NetSpec::from_toml("name = 'tiny'\ninput = [4]\nclasses = 2\n[[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2", "")?;
/// # let layer = LayerParameters {
/// #     name: "fc1".into(),
/// #     weight: Weight::dense(&[2, 4], Parameter::new(vec![0., 0., 1., 0., 0., 2., 0., 0.]), Vec::new())?,
/// #     bias: Parameter::new(vec![0.5, 0.]),
/// # };
/// # let checkpoint = Checkpoint {
/// #     recipe: Recipe::from_toml("summary = ''\nmethod = { kind = 'dense' }", "")?,
/// #     progress: Progress::default(),
/// #     data: DataInfo { name: "none".into(), n_train: 0, crc32: 0 },
/// #     normalizer: Normalizer::with_images(&spec, None, None).unwrap(),
/// #     parameters: vec![layer].into(),
/// #     keep_every: 5,
/// #     spec,
/// # };
/// use candle_core::{Device, Module, Tensor};
/// use vbd_prune::SparseNet;
///
/// let net = SparseNet::from_checkpoint(&checkpoint, None)?;
/// let pixels = Tensor::new(&[[0_u8, 10, 20, 30]], &Device::Cpu)?;
/// assert_eq!(net.forward(&pixels)?.to_vec2::<f32>()?, [[20.5, 20.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SparseNet {
    net: PrunedNet,
    plan: Plan,
    /// Those that nobody runs just now.
    sessions: Mutex<Vec<Session>>,
    /// The dense net on each device that it has been run on.
    elsewhere: Mutex<Vec<(DeviceLocation, Arc<DenseNet>)>>,
}

impl SparseNet {
    /// The net of a pruned file or in memory.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn new(net: &PrunedNet) -> Result<Self> {
        Ok(Self {
            net: net.clone(),
            plan: Plan::new(net)?,
            sessions: Mutex::default(),
            elsewhere: Mutex::default(),
        })
    }

    /// The weights of a checkpoint that are kept at `threshold`, by default the training's.
    ///
    /// # Errors
    /// As [`prune_checkpoint`](crate::prune_checkpoint), and [`Plan::new`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, threshold: Option<f32>) -> Result<Self> {
        Self::new(&prune_checkpoint(checkpoint, threshold)?)
    }

    /// Opens a pruned file, a checkpoint or a run's folder and makes it run.
    ///
    /// # Errors
    /// As [`open`](crate::open()), and [`Plan::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(&open(path)?.net()?)
    }

    /// The network.
    pub fn spec(&self) -> &NetSpec {
        self.net.spec()
    }

    /// How it is computed on a CPU.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The logits of `n` samples, on the CPU.
    ///
    /// # Shapes
    /// - `pixels`: `[n, input_len]`, row-major, channels first
    /// - returns: `[n, classes]`
    ///
    /// # Errors
    /// [`vbd_net::Error::Input`] if there are not as many pixels.
    pub fn logits(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>> {
        self.run(pixels, n)
    }

    /// The probability of each class for one image.
    ///
    /// # Errors
    /// [`vbd_net::Error::Input`] if it has not the network's input length.
    pub fn predict(&self, pixels: &[u8]) -> Result<Vec<f32>> {
        let logits = self.logits(pixels, 1)?;
        Ok(softmax(&logits))
    }

    /// Error and cross-entropy on labelled images; the sum is taken in the order of the samples.
    ///
    /// # Errors
    /// [`vbd_net::Error::Input`] if the images are of another size, [`vbd_net::Error::Label`] if a label has no class.
    pub fn evaluate(&self, samples: &Samples) -> Result<Evaluation> {
        let classes = self.spec().classes;
        let len = samples.sample_len();
        let mut score = Score::default();
        for start in (0..samples.len()).step_by(EVALUATED_AT_ONCE) {
            let end = (start + EVALUATED_AT_ONCE).min(samples.len());
            let logits = self.logits(&samples.images()[start * len..end * len], end - start)?;
            let labels = &samples.labels()[start..end];
            for ((index, &label), logits) in (start..).zip(labels).zip(logits.chunks_exact(classes))
            {
                if usize::from(label) >= classes {
                    let net = self.spec().name.clone();
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
        }
        Ok(score.finish())
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
        let logits = session.run(pixels)?.to_vec();
        idle().push(session);
        Ok(logits)
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

/// Raw pixels of 0 to 255 in, logits out; the normalisation is the net's.
///
/// # Shapes
/// - `x`: `[batch, features]` or `[batch, channels, height, width]`, u8 or a float type
/// - returns: `[batch, classes]`, f32
impl Module for SparseNet {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let batch = x.dim(0)?;
        if !x.device().is_cpu() {
            return self.on_device(x)?.forward(x);
        }
        let flat = x.flatten_all()?;
        let logits = match x.dtype() {
            DType::U8 => self.run(&flat.to_vec1::<u8>()?, batch),
            _ => self.run(&flat.to_dtype(DType::F32)?.to_vec1::<f32>()?, batch),
        };
        let logits = logits.map_err(candle_core::Error::wrap)?;
        Tensor::from_vec(logits, (batch, self.spec().classes), x.device())
    }
}
