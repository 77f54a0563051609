//! Plain weights: theta only, without noise or pruning.

use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};

use super::{
    CandleMethod, CpuMethod, DataGradient, Definition, EntryView, EntryViewMut, TensorMoments,
    Update, WeightMethod,
};
use crate::layers::Masking;
use crate::weight::State;

pub(super) const DEFINITION: Definition = Definition {
    keys: &[],
    applies: |_, _| true,
    build: |_| Arc::new(Dense),
};

/// A plain weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dense;

impl WeightMethod for Dense {
    fn states(&self, _shape: &[usize]) -> Vec<State> {
        Vec::new()
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
        update.descent.step(theta, data.theta);
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
}
