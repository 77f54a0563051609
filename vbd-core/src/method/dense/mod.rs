//! Plain weights: theta only, without noise. Zeros may be fixed, to train what another run left.

use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};

use super::{
    CandleMethod, CpuMethod, DataGradient, Definition, EntryView, EntryViewMut, TensorMoments,
    Update, WeightMethod,
};
use crate::kernels::vector::{each_vector, kernel};
use crate::layers::Masking;
use crate::recipe::{Key, Range, Value};
use crate::weight::State;

const FIXED_ZEROS: Key = Key {
    name: "fixed_zeros",
    default: Value::Flag(false),
    from_trained: None,
    range: Range::Flag,
    meaning: "whether weights that are 0 stay 0: with `--from`, what another run pruned stays pruned",
};

pub(super) const DEFINITION: Definition = Definition {
    keys: &[FIXED_ZEROS],
    applies: |_, _| true,
    build: |settings| {
        Arc::new(Dense {
            fixed_zeros: settings.flag(FIXED_ZEROS.name),
        })
    },
};

/// A plain weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dense {
    /// Whether entries that are 0 are dead.
    pub(crate) fixed_zeros: bool,
}

impl WeightMethod for Dense {
    fn states(&self, _shape: &[usize]) -> Vec<State> {
        Vec::new()
    }

    fn kills(&self) -> bool {
        self.fixed_zeros
    }

    fn is_plain(&self) -> bool {
        true
    }
}

impl CpuMethod for Dense {
    fn is_sampled(&self) -> bool {
        false
    }

    fn moments(
        &self,
        entries: EntryView<'_>,
        _active: bool,
        mean: &mut [f32],
        _variance: &mut [f32],
    ) {
        mean.copy_from_slice(entries.theta);
    }

    fn update(
        &self,
        entries: EntryViewMut<'_>,
        data: DataGradient<'_>,
        _of_step: &[f32],
        update: &Update,
    ) {
        let theta = entries.theta.slices_mut(entries.range.clone());
        if self.fixed_zeros {
            // A dense form computes dead entries too. Without a gradient, their moments stay 0.
            let mut gradient = data.theta.to_vec();
            clear_of_zeros(&mut gradient, theta[0]);
            update.descent.step(theta, &gradient);
        } else {
            update.descent.step(theta, data.theta);
        }
        entries
            .mean
            .copy_from_slice(&entries.theta.value[entries.range]);
    }
}

impl CandleMethod for Dense {
    fn tensor_moments(
        &self,
        theta: &Tensor,
        _states: &[Tensor],
        _masking: Masking,
    ) -> CandleResult<TensorMoments> {
        Ok(TensorMoments {
            mean: theta.clone(),
            variance: None,
            alive_rows: None,
        })
    }

    fn tensor_kept(&self, theta: &Tensor, _states: &[Tensor]) -> CandleResult<Tensor> {
        Ok(theta.clone())
    }

    fn tensor_theta(&self, old: &Tensor, new: Tensor) -> CandleResult<Tensor> {
        if !self.fixed_zeros {
            return Ok(new);
        }
        old.ne(0.0)?.where_cond(&new, &new.zeros_like()?)
    }
}

kernel! {
    /// Sets the gradients of values that are 0 to 0.
    fn clear_of_zeros<S>(simd, gradient: &mut [f32], theta: &[f32]) {
        each_vector(
            simd,
            [gradient],
            [theta],
            #[inline(always)]
            |[gradient], [theta]| {
                let zero = theta.like(0.0);
                [theta.equals(zero).not().keep(gradient)]
            },
        );
    }
}
