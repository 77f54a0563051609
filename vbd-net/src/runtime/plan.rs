//! The plan of a computation, built once per net and immutable.

use std::path::Path;
use std::sync::Arc;

use pulp::Arch;
use serde::Serialize;

use super::input::Input;
use super::kernels::LANES;
use super::layout::Layout;
use super::session::Session;
use super::stage::Stage;
use super::threads::Threads;
use crate::error::{Error, Result};
use crate::format::PrunedFile;
use crate::net::PrunedNet;
use crate::ops::conv2d::Conv;
use crate::passes::{Pixels, Program};
use crate::simd;
use crate::spec::Loss;

/// Maximum number of values per sample, activations and normalisation together: 16 MB.
const MOST_VALUES: usize = 1 << 22;
/// Cost of a normalised pixel in the plan, in values.
const VALUES_A_PIXEL: usize = 6;
/// Maximum number of activation values of samples processed together: 1 MB, about a core's share of
/// cache.
const CACHED_VALUES: usize = 1 << 18;
/// Maximum number of activation values for processing samples in vectors at all: 16 MB.
const SIDE_BY_SIDE_VALUES: usize = 1 << 22;

/// Kernel of a layer.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Kept weights only.
    Sparse,
    /// All weights of the remaining rows and columns including zeros, in vectors.
    Dense,
    /// Kept weights of a convolution, each over all positions.
    Taps,
    /// No computation is left.
    None,
}

/// Plan of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LayerPlan {
    /// Kernel for many samples.
    pub kernel: Kernel,
    /// Kernel for one sample.
    pub kernel_one: Kernel,
    /// Remaining multiply-adds per sample.
    pub multiply_adds: usize,
}

/// A compiled pruned net: irrelevant parts are dropped, and each layer has its kernels.
///
/// A plan is immutable and cheap to clone; clones and threads share it. A [`Session`] holds the
/// buffers to run it.
///
/// ```
/// use vbd_net::{Plan, PrunedNet, spec::NetSpec};
///
/// let spec = NetSpec::from_json(
///     r#"{"name": "tiny", "input": [4], "classes": 2,
///         "layer": [{"kind": "linear", "name": "fc1", "out_features": 2}]}"#,
/// )?;
/// let weight = vec![0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0];
/// let net = PrunedNet::from_parts(spec, [("fc1.weight", weight), ("fc1.bias", vec![0.5, 0.0])])?;
/// let plan = Plan::new(&net)?;
/// let mut session = plan.session();
/// assert_eq!(session.run(&[0_u8, 10, 20, 30])?, [20.5, 20.0]);
/// assert_eq!(session.run(&[0_f32, 0.5, 0.25, 0.0, 1.0, 1.0, 1.0, 1.0])?, [0.75, 1.0, 1.5, 2.0]);
/// assert_eq!(plan.multiply_adds(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) inner: Arc<PlanData>,
}

/// Shared state of a plan.
#[derive(Debug)]
pub(super) struct PlanData {
    pub(super) net: String,
    pub(super) input_len: usize,
    pub(super) output_len: usize,
    loss: Loss,
    pub(super) arch: Arch,
    pub(super) input: Input,
    pub(super) stages: Vec<PlanStage>,
    /// Values per sample in each buffer: the net's input, then the output of each stage.
    pub(super) lens: Vec<usize>,
    /// Scratch values per sample.
    pub(super) scratch: usize,
    /// Maximum number of samples processed together; 0 if activations are too large.
    pub(super) lanes: usize,
    layers: Vec<LayerPlan>,
}

/// A stage and its inputs.
#[derive(Debug)]
pub(super) struct PlanStage {
    /// Numbers of input buffers; none if the weight has no columns.
    pub(super) inputs: Vec<usize>,
    pub(super) stage: Stage,
}

impl Plan {
    /// Compiles a net.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the activations or scratch buffers of a sample exceed 16 MB;
    /// [`Error::InstructionSet`] if `VBD_SIMD` names an unavailable instruction set.
    pub fn new(net: &PrunedNet) -> Result<Self> {
        simd::instruction_set()?;
        Self::for_arch(net, simd::arch())
    }

    /// Reads a pruned file and compiles its net.
    ///
    /// # Errors
    /// Those of [`PrunedFile::read`] and [`Plan::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(PrunedFile::read(path.as_ref())?.net())
    }

    /// Compiles a net for another instruction set than the machine's best.
    #[doc(hidden)]
    pub fn for_arch(net: &PrunedNet, arch: Arch) -> Result<Self> {
        let program = Program::new(net)?;
        let (layouts, lens) = buffers(net, &program)?;
        let stages = program.steps.iter().enumerate().map(|(index, step)| {
            let reads_input = step.inputs == [0];
            let raw = reads_input && program.pixels == Pixels::Raw;
            let from: Vec<Layout> = step.inputs.iter().map(|&input| layouts[input]).collect();
            let stage = Stage::new(
                step,
                &from,
                layouts[index + 1],
                raw.then_some(&program.inputs[..]),
                reads_input && program.pixels == Pixels::Scaled,
            );
            PlanStage {
                inputs: step.inputs.clone(),
                stage,
            }
        });
        let stages: Vec<PlanStage> = stages.collect();
        let scratch = stages.iter().map(|part| part.stage.scratch_len());
        let scratch = scratch.max().unwrap_or(0);
        if scratch > MOST_VALUES {
            return Err(Error::too_large(&net.spec, scratch, MOST_VALUES));
        }
        let nothing = LayerPlan {
            kernel: Kernel::None,
            kernel_one: Kernel::None,
            multiply_adds: 0,
        };
        let mut layers = vec![nothing; net.layers.len()];
        for (step, part) in program.steps.iter().zip(&stages) {
            if let Some(layer) = step.layer().filter(|_| step.weight.nnz() > 0) {
                let [kernel, kernel_one] = part.stage.kernels();
                layers[layer] = LayerPlan {
                    kernel,
                    kernel_one,
                    multiply_adds: step.multiply_adds(),
                };
            }
        }
        let inner = PlanData {
            net: net.spec.name.clone(),
            input_len: net.spec.input_len(),
            output_len: net.spec.output_len(),
            loss: net.spec.loss,
            arch,
            input: Input::new(net, &program, layouts[0]),
            lanes: lanes(&stages, lens.iter().sum()),
            scratch,
            lens,
            stages,
            layers,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Creates a session on the process's shared threads.
    pub fn session(&self) -> Session {
        self.session_on(&Threads::shared())
    }

    /// Creates a session on the given threads. Any number of sessions can share them.
    pub fn session_on(&self, threads: &Threads) -> Session {
        Session::new(self.clone(), threads.clone())
    }

    /// Returns the number of input values per sample.
    pub fn input_len(&self) -> usize {
        self.inner.input_len
    }

    /// Returns the number of outputs per sample: one logit per class, or the values of another
    /// loss's target.
    pub fn output_len(&self) -> usize {
        self.inner.output_len
    }

    /// Returns the loss, which determines the meaning of the outputs.
    pub fn loss(&self) -> Loss {
        self.inner.loss
    }

    /// Returns the plans of the layers with weights, in order.
    pub fn layers(&self) -> &[LayerPlan] {
        &self.inner.layers
    }

    /// Returns the multiply-adds per sample.
    pub fn multiply_adds(&self) -> usize {
        self.inner
            .layers
            .iter()
            .map(|layer| layer.multiply_adds)
            .sum()
    }

    /// Returns the number of input values that are read per sample.
    pub fn live_inputs(&self) -> usize {
        self.inner.input.len()
    }
}

/// Returns layout and length of each value, the net's input first, if the activations are not too
/// large.
fn buffers(net: &PrunedNet, program: &Program) -> Result<(Vec<Layout>, Vec<usize>)> {
    let (mut layouts, mut lens) = (Vec::new(), Vec::new());
    let pixels = match program.pixels {
        Pixels::Raw => 0,
        _ => program.input.units.saturating_mul(program.input.area()),
    };
    let mut values = pixels.saturating_mul(VALUES_A_PIXEL);
    for (value, margin) in program.margins().into_iter().enumerate() {
        let extent = program.extent(value);
        let layout = Layout::new(extent, margin);
        let unit = layout.unit_len().unwrap_or(usize::MAX);
        // Whole vectors, and the values that a convolution reads and writes beyond the last one.
        let len = unit
            .saturating_mul(extent.units)
            .saturating_add(Conv::SLACK);
        values = values.saturating_add(len);
        lens.push(match values {
            0..=MOST_VALUES => len.next_multiple_of(LANES),
            _ => 0,
        });
        layouts.push(layout);
    }
    if values > MOST_VALUES {
        return Err(Error::too_large(&net.spec, values, MOST_VALUES));
    }
    Ok((layouts, lens))
}

/// Returns the number of samples processed together: one vector if there are convolutions.
fn lanes(stages: &[PlanStage], values: usize) -> usize {
    let convolves = stages
        .iter()
        .any(|part| matches!(part.stage, Stage::Conv(_)));
    match values * LANES {
        all if all > SIDE_BY_SIDE_VALUES => 0,
        _ if convolves => LANES,
        all if all * 4 <= CACHED_VALUES => LANES * 4,
        all if all * 2 <= CACHED_VALUES => LANES * 2,
        _ => LANES,
    }
}

impl Stage {
    /// Returns the scratch values that the stage needs per sample.
    pub(super) fn scratch_len(&self) -> usize {
        match self {
            Self::Conv(conv) => conv.one.scratch_len(),
            _ => 0,
        }
    }
}
