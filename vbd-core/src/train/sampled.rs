//! Evaluation by draws of weights and units: the posterior's predictive distribution.

use vbd_net::data::Samples;
use vbd_net::output::{Calibration, softmax};

use super::checkpoint::Checkpoint;
use super::compute::Compute;
use crate::error::{Error, Result};
use crate::step::{At, Batch, Objective};

/// Evaluation of a classifier whose probabilities are means over draws.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledEvaluation {
    /// Number of draws per sample.
    pub mc_samples: usize,
    /// Number of samples.
    pub samples: usize,
    /// Number of misclassified samples.
    pub wrong: usize,
    /// Mean cross-entropy in nats.
    pub nll: f64,
    /// Calibration of the probabilities.
    pub calibration: Calibration,
}

impl SampledEvaluation {
    /// Evaluates a checkpoint: probabilities of a sample are the mean over `mc_samples` passes with a training step's
    /// noise, with everything above its threshold masked (Gal and Ghahramani 2016). The draws depend on the run's
    /// seed alone.
    ///
    /// # Errors
    /// [`Error::NoDraws`] if the network is no classifier or normalises by the batch; those of the engine.
    pub fn of(
        checkpoint: &Checkpoint,
        samples: &Samples,
        mc_samples: usize,
        compute: &Compute,
    ) -> Result<Self> {
        let Checkpoint { spec, recipe, .. } = checkpoint;
        let refused = |why| Error::NoDraws {
            net: spec.name.clone(),
            why,
        };
        let labels = samples.labels().filter(|_| spec.classes.is_some());
        let labels = labels.ok_or_else(|| refused("it is no classifier"))?;
        if !spec.resolve()?.norms().is_empty() {
            return Err(refused(
                "its batch normalisations use the batch in such a pass",
            ));
        }
        let objective = Objective::new(spec, recipe, checkpoint.data.n_train)?;
        let mut engine = compute.engine(checkpoint, objective)?;
        let batch_size = recipe.train.batch_size.min(checkpoint.data.n_train);
        let mut evaluation = Self {
            mc_samples,
            samples: samples.len(),
            wrong: 0,
            nll: 0.0,
            calibration: Calibration::default(),
        };
        let count =
            u32::try_from(samples.len()).map_err(|_| refused("there are too many samples"))?;
        let indices: Vec<u32> = (0..count).collect();
        let mut step = 0_u32;
        for indices in indices.chunks(batch_size) {
            let batch = Batch::of(samples, indices);
            let mut sums = vec![0.0; indices.len() * spec.output_len()];
            for _ in 0..mc_samples {
                let at = At {
                    seed: recipe.train.seed,
                    step,
                    lr: 0.0,
                    kl_scale: 1.0,
                };
                step = step.wrapping_add(1);
                let outputs = engine.outputs(&batch, &at)?;
                let rows = outputs.chunks_exact(spec.output_len());
                for (sums, logits) in sums.chunks_exact_mut(spec.output_len()).zip(rows) {
                    for (sum, p) in sums.iter_mut().zip(softmax(logits)) {
                        *sum += f64::from(p);
                    }
                }
            }
            for (row, sums) in indices.iter().zip(sums.chunks_exact_mut(spec.output_len())) {
                let total: f64 = sums.iter().sum();
                for sum in sums.iter_mut() {
                    *sum /= total;
                }
                evaluation.add(sums, usize::from(labels[*row as usize]));
            }
        }
        evaluation.nll /= samples.len().max(1) as f64;
        evaluation.wrong = evaluation.calibration.wrong();
        Ok(evaluation)
    }

    fn add(&mut self, probabilities: &[f64], label: usize) {
        self.nll -= probabilities[label].max(f64::MIN_POSITIVE).ln();
        self.calibration.add(probabilities, label);
    }
}
