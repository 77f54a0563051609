//! What is computed: made once of a net, and never changed.

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

/// Values of all activations of one sample, and of what normalises it, at most: 16 MB.
const MOST_VALUES: usize = 1 << 22;
/// What a pixel that is normalised costs the plan, in values.
const VALUES_A_PIXEL: usize = 6;
/// Values of all activations of the samples that go side by side: 1 MB, about a core's share of cache.
const CACHED_VALUES: usize = 1 << 18;
/// Up to as many samples go side by side in vectors at all: 16 MB.
const SIDE_BY_SIDE_VALUES: usize = 1 << 22;

/// What computes a layer's products.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Each kept weight by itself.
    Sparse,
    /// All weights of the rows and columns that are left, zeros too, in vectors.
    Dense,
    /// Each kept weight of a convolution over all positions.
    Taps,
    /// Nothing is left to compute.
    None,
}

/// What a plan does for one of the net's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LayerPlan {
    /// What computes it for many samples at once.
    pub kernel: Kernel,
    /// What computes it for one sample.
    pub kernel_one: Kernel,
    /// Multiply-adds a sample that are left.
    pub multiply_adds: usize,
}

/// How a pruned net is computed: what cannot matter is gone, and each layer has its kernels.
///
/// A plan never changes; its clones share it, and threads may. A [`Session`] has the buffers to run it.
///
/// ```
/// # use vbd_net::{Origin, Parts, PrunedLayer, PrunedNet, SparseMatrix, spec::LayerKind};
/// # let spec = serde_json::from_str(
/// #     r#"{"name":"tiny","input":[4],"classes":2,"layer":[{"kind":"linear","name":"fc1","out_features":2}]}"#,
/// # )?;
/// # let weight = SparseMatrix::from_places([2, 4], 2, [(2, 1.0), (5, 2.0)].into_iter());
/// # let (name, kind, bias) = ("fc1".to_owned(), LayerKind::Linear, vec![0.5, 0.0]);
/// # let layer = PrunedLayer { name, kind, shape: vec![2, 4], weight, bias };
/// # let parts = Parts { layers: vec![layer], ..Parts::default() };
/// # let net = PrunedNet::new(spec, parts, Origin::default())?;
/// use vbd_net::Plan;
///
/// let plan = Plan::new(&net)?;
/// let mut session = plan.session();
/// assert_eq!(session.run(&[0_u8, 10, 20, 30])?, [20.5, 20.0]);
/// assert_eq!(session.run(&[0_f32, 0.5, 0.25, 0.0, 1.0, 1.0, 1.0, 1.0])?, [0.75, 1.0, 1.5, 2.0]);
/// assert_eq!(plan.multiply_adds(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) inner: Arc<Inner>,
}

/// The plan itself.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) net: String,
    pub(super) input_len: usize,
    pub(super) output_len: usize,
    loss: Loss,
    pub(super) arch: Arch,
    pub(super) input: Input,
    pub(super) stages: Vec<Part>,
    /// Values of one sample in each buffer: the net's input first, then what each stage gives.
    pub(super) lens: Vec<usize>,
    /// Values that some stage wants besides, for one sample.
    pub(super) scratch: usize,
    /// Samples that go side by side at most; 0 where activations are so large that none do.
    pub(super) lanes: usize,
    layers: Vec<LayerPlan>,
}

/// A stage and what it reads.
#[derive(Debug)]
pub(super) struct Part {
    /// Numbers of buffers; none of a stage whose weight has no columns.
    pub(super) inputs: Vec<usize>,
    pub(super) stage: Stage,
}

impl Plan {
    /// Plans a net.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if a sample's activations, or what a layer works in, are more than 16 MB;
    /// [`Error::InstructionSet`] if `VBD_SIMD` names a set that this machine lacks.
    pub fn new(net: &PrunedNet) -> Result<Self> {
        simd::instruction_set()?;
        Self::for_arch(net, simd::arch())
    }

    /// Opens a pruned file and plans its net.
    ///
    /// # Errors
    /// As [`PrunedFile::read`], and [`Plan::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(PrunedFile::read(path.as_ref())?.net())
    }

    /// A plan for another instruction set than this machine's best.
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
                (&from, layouts[index + 1]),
                raw.then_some(&program.inputs[..]),
                reads_input && program.pixels == Pixels::Scaled,
            );
            Part {
                inputs: step.inputs.clone(),
                stage,
            }
        });
        let stages: Vec<Part> = stages.collect();
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
        let inner = Inner {
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

    /// Buffers to run the plan with, on the threads that this process shares.
    pub fn session(&self) -> Session {
        self.session_on(&Threads::shared())
    }

    /// Buffers to run the plan with, on threads of the caller's choice: a hundred sessions on the same
    /// threads have no more of them than one.
    pub fn session_on(&self, threads: &Threads) -> Session {
        Session::new(self.clone(), threads.clone())
    }

    /// Values of one input sample.
    pub fn input_len(&self) -> usize {
        self.inner.input_len
    }

    /// Values that one sample becomes: a logit a class, or of another loss than cross-entropy, values like its target's.
    pub fn output_len(&self) -> usize {
        self.inner.output_len
    }

    /// What the outputs are measured by, and so what they are.
    pub fn loss(&self) -> Loss {
        self.inner.loss
    }

    /// What is done for each of the net's layers with weights, in order.
    pub fn layers(&self) -> &[LayerPlan] {
        &self.inner.layers
    }

    /// Multiply-adds a sample.
    pub fn multiply_adds(&self) -> usize {
        self.inner
            .layers
            .iter()
            .map(|layer| layer.multiply_adds)
            .sum()
    }

    /// How many values of an input sample are read.
    pub fn live_inputs(&self) -> usize {
        self.inner.input.len()
    }
}

/// The layout and the length of each value, the net's input first, if a sample's activations are not too
/// large.
fn buffers(net: &PrunedNet, program: &Program) -> Result<(Vec<Layout>, Vec<usize>)> {
    let (mut layouts, mut lens) = (Vec::new(), Vec::new());
    let pixels = match program.pixels {
        Pixels::Raw => 0,
        _ => program.input.units.saturating_mul(program.input.area()),
    };
    let mut values = pixels.saturating_mul(VALUES_A_PIXEL);
    for (value, padding) in program.paddings().into_iter().enumerate() {
        let extent = program.extent(value);
        let layout = Layout::new(extent, padding);
        let unit = layout.unit_len().unwrap_or(usize::MAX);
        // Whole vectors, and what a convolution reads and writes behind the last of them.
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

/// How many samples go side by side: one vector where there are convolutions.
fn lanes(stages: &[Part], values: usize) -> usize {
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
    /// Scratch that the stage needs for one sample.
    pub(super) fn scratch_len(&self) -> usize {
        match self {
            Self::Conv(conv) => conv.one.scratch_len(),
            _ => 0,
        }
    }
}
