//! A step with its kernels for one sample and for many.

use std::sync::Arc;

use super::layout::Layout;
use super::plan::Kernel;
use crate::ops::conv2d::{Conv, ConvGeometry};
use crate::ops::linear::{LinearKernels, One};
use crate::ops::{Places, Unweighted};
use crate::passes::{Computation, Margin, Op};

/// A compiled step.
#[derive(Debug)]
pub(super) enum Stage {
    Linear(LinearKernels),
    Conv(Box<Conv>),
    Unweighted {
        rule: Arc<dyn Unweighted>,
        places: Places,
    },
}

impl Stage {
    /// Creates the kernels of `step` from input layouts `from` to output layout `to`. If the step
    /// reads raw pixels, `raw` are the pixels of its inputs. `margins` states whether the inputs
    /// are images with margins of 0.
    pub(super) fn new(
        step: &Computation,
        from: &[Layout],
        to: Layout,
        raw: Option<&[u32]>,
        margins: bool,
    ) -> Self {
        let first = from.first().copied();
        let Computation {
            weight,
            bias,
            relu,
            input,
            output,
            ..
        } = step;
        let (relu, input, output) = (*relu, *input, *output);
        match &step.op {
            Op::Linear => Self::Linear(LinearKernels::new(weight, bias, relu, raw)),
            &Op::Conv { window, pool } => {
                let geometry = ConvGeometry {
                    kernel: window.kernel,
                    stride: window.stride,
                    padding: window.before,
                    pool,
                    relu,
                    margins,
                    input,
                    output,
                    from: first.unwrap_or_else(|| Layout::new(input, Margin::of(&window))),
                    to,
                };
                Self::Conv(Box::new(Conv::new(weight, bias, geometry)))
            }
            Op::Unweighted(rule) => Self::Unweighted {
                rule: Arc::clone(rule),
                places: Places {
                    relu,
                    window: step.window,
                    output,
                    from: from.to_vec(),
                    to,
                },
            },
        }
    }

    /// Returns the kernels for many samples and for one sample.
    pub(super) fn kernels(&self) -> [Kernel; 2] {
        match self {
            Self::Linear(linear) => match linear.one {
                One::Rows(_) => [Kernel::Sparse, Kernel::Sparse],
                One::Columns(_) => [Kernel::Sparse, Kernel::Dense],
            },
            Self::Conv(_) => [Kernel::Taps, Kernel::Taps],
            Self::Unweighted { .. } => [Kernel::None, Kernel::None],
        }
    }
}
