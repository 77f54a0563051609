//! Buffers for running a plan.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::buffer::Buffer;
use super::kernels::{self, LANES, Pixel};
use super::plan::{Plan, PlanData, PlanStage};
use super::stage::Stage;
use super::threads::Threads;
use crate::error::{Error, Result};
use crate::ops::Inputs;

/// Minimum number of samples for processing in lanes: fewer would leave most lanes empty.
const SIDE_BY_SIDE: usize = 4;
/// Minimum number of multiply-adds for splitting a batch over threads: some 5 microseconds of work.
const FOR_THREADS: usize = 100_000;
/// Maximum number of values in the buffers of all threads, unless one thread needs more: 48 MB.
const ALL_VALUES: usize = 12 << 20;

/// A plan with its buffers. Runs samples or batches without allocating, once it has run a batch of
/// the same size.
///
/// The outputs for finite pixels do not depend on the rest of the batch or on the number of
/// threads, bit for bit. Large batches are shared between the session's [`Threads`].
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    threads: Threads,
    workers: Vec<Mutex<Worker>>,
    logits: Vec<f32>,
}

/// Buffers of one thread.
#[derive(Debug)]
pub(super) struct Worker {
    /// Inputs of each stage and outputs of the last, for one sample.
    one: Vec<Buffer>,
    /// The same for many samples, feature-major.
    many: Vec<Buffer>,
    /// Scratch of a convolution of one sample.
    scratch: Buffer,
    /// Nonzero inputs of a dense layer.
    nonzero: Vec<(u32, f32)>,
}

impl Worker {
    fn new(plan: &PlanData) -> Self {
        // Raw f32 pixels are read in place; bytes are converted first.
        let one = plan.lens.iter().map(|&len| Buffer::zeroed(len));
        let many = plan.lens.iter();
        let many = many.map(|&len| Buffer::zeroed(len * plan.lanes));
        Self {
            one: one.collect(),
            many: if plan.lanes == 0 {
                Vec::new()
            } else {
                many.collect()
            },
            scratch: Buffer::zeroed(plan.scratch),
            nonzero: Vec::with_capacity(plan.lens.iter().copied().max().unwrap_or(0)),
        }
    }

    /// One sample.
    fn run_one<T: Pixel>(&mut self, plan: &PlanData, pixels: &[T], logits: &mut [f32]) {
        let Self {
            one,
            scratch,
            nonzero,
            ..
        } = self;
        let pixels = match &plan.input.image {
            Some(image) => {
                image.load_one(plan.arch, pixels, one[0].get_mut());
                None
            }
            None => Some(pixels),
        };
        for (index, PlanStage { inputs, stage }) in plan.stages.iter().enumerate() {
            let (before, after) = one.split_at_mut(index + 1);
            let y = after[0].get_mut();
            let first = inputs.first().copied();
            // A stage without columns reads no input.
            let x = before[first.unwrap_or(0)].get();
            match stage {
                Stage::Linear(linear) => match pixels.filter(|_| first == Some(0)) {
                    Some(pixels) => linear.one.run(plan.arch, pixels, y, nonzero),
                    None => linear.one.run(plan.arch, x, y, nonzero),
                },
                Stage::Conv(conv) => conv.one.run(plan.arch, x, y, scratch.get_mut()),
                Stage::Unweighted { rule, places } => {
                    let buffers = &*before;
                    let numbers = inputs;
                    rule.run(plan.arch, Inputs { buffers, numbers }, y, places, 1);
                }
            }
        }
        if let Some(last) = one.last() {
            logits.copy_from_slice(&last.get()[..logits.len()]);
        }
    }

    /// Runs at most `lanes` samples together.
    fn run_many<T: Pixel>(
        &mut self,
        plan: &PlanData,
        pixels: &[T],
        logits: &mut [f32],
        lanes: usize,
    ) {
        let many = &mut self.many;
        plan.input
            .load_lanes(plan.arch, pixels, plan.input_len, many[0].get_mut(), lanes);
        for (index, PlanStage { inputs, stage }) in plan.stages.iter().enumerate() {
            let (before, after) = many.split_at_mut(index + 1);
            let y = after[0].get_mut();
            let x = before[inputs.first().copied().unwrap_or(0)].get();
            match stage {
                Stage::Linear(linear) => linear.many.run(plan.arch, x, y, lanes),
                Stage::Conv(conv) => conv.many.run(plan.arch, x, y),
                Stage::Unweighted { rule, places } => {
                    let buffers = &*before;
                    let numbers = inputs;
                    rule.run(plan.arch, Inputs { buffers, numbers }, y, places, lanes);
                }
            }
        }
        if let Some(last) = many.last() {
            kernels::logits(last.get(), logits, plan.output_len, lanes);
        }
    }
}

impl Session {
    pub(super) fn new(plan: Plan, threads: Threads) -> Self {
        let values = plan.inner.lens.iter().sum::<usize>();
        let values = values * (1 + plan.inner.lanes) + plan.inner.scratch;
        let workers = threads.count().min(ALL_VALUES / values.max(1)).max(1);
        let workers = (0..workers)
            .map(|_| Mutex::new(Worker::new(&plan.inner)))
            .collect();
        Self {
            plan,
            threads,
            workers,
            logits: Vec::new(),
        }
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Computes the outputs of samples: logits, or other values depending on the loss.
    ///
    /// # Shapes
    /// - `pixels`: `[n, input_len]`, row-major, channels first: raw pixels of 0 to 255, u8 or f32
    /// - returns: `[n, output_len]`
    ///
    /// # Errors
    /// [`Error::Input`] if the length is not a multiple of the input length.
    pub fn run<T: Pixel>(&mut self, pixels: &[T]) -> Result<&[f32]> {
        let plan = &*self.plan.inner;
        let samples = pixels.len() / plan.input_len;
        if samples * plan.input_len != pixels.len() {
            return Err(Error::Input {
                net: plan.net.clone(),
                found: pixels.len(),
                samples: samples + 1,
                expected: plan.input_len,
            });
        }
        if self.logits.len() < samples * plan.output_len {
            self.logits.resize(samples * plan.output_len, 0.0);
        }
        let logits = &mut self.logits[..samples * plan.output_len];
        let threads = self.threads.count().min(self.workers.len());
        let work = samples.saturating_mul(self.plan.multiply_adds() + plan.input.len());
        let threads = if work >= FOR_THREADS { threads } else { 1 };
        let lanes = if samples < SIDE_BY_SIDE {
            0
        } else {
            lanes(samples, threads).min(plan.lanes)
        };
        let at_once = lanes.max(1);
        let run = |worker: &mut Worker, pixels: &[T], logits: &mut [f32]| match lanes {
            0 => worker.run_one(plan, pixels, logits),
            _ => worker.run_many(plan, pixels, logits, lanes),
        };
        let (sample_len, output_len) = (at_once * plan.input_len, at_once * plan.output_len);
        let blocks = pixels.chunks(sample_len).zip(logits.chunks_mut(output_len));
        let (blocks, workers) = (Mutex::new(blocks), &self.workers);
        self.threads.run(threads, &|member| {
            let mut worker = lock(&workers[member]);
            loop {
                let block = lock(&blocks).next();
                let Some((pixels, logits)) = block else { break };
                run(&mut worker, pixels, logits);
            }
        });
        Ok(logits)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number of samples processed together, so that each thread gets some blocks.
fn lanes(samples: usize, threads: usize) -> usize {
    (samples / threads.max(1))
        .clamp(LANES, 4 * LANES)
        .next_power_of_two()
}
