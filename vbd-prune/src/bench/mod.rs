//! How long inference takes: the sparse runtime beside the same net dense.

mod gemm_net;
mod options;

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{Device, Module, Tensor};
use serde::Serialize;

pub use self::options::BenchOptions;

use self::gemm_net::GemmNet;
use crate::error::{Error, Result};
use crate::net::PrunedNet;
use crate::runtime::Plan;
use crate::sparse_net::DenseNet;

/// Bytes of the dense weights and of a batch's largest activations, at most: a file may name a net that
/// is far larger than itself, and this makes it dense.
const MOST_BYTES: usize = 1 << 30;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The sparse runtime.
    Sparse,
    /// The dense net by the `gemm` crate, without a framework around it.
    Gemm,
    /// The dense net by Candle's operations.
    Candle,
}

impl What {
    /// Its word, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sparse => "sparse",
            Self::Gemm => "gemm",
            Self::Candle => "candle",
        }
    }
}

/// One measurement, in microseconds a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: What,
    /// Samples of a call.
    pub batch: usize,
    /// Threads that it could have.
    pub threads: usize,
    /// The median of all calls.
    pub median_us: f64,
    /// What 99 calls of 100 stay within.
    pub p99_us: f64,
}

/// Measures `net` at each of the `batches`, on f32 pixels: `images`, or made up where there are none.
/// The three take turns, so that what else the machine does hits all of them.
///
/// ```
/// # use vbd_core::{recipe::Recipe, spec::{NetSpec, Normalizer}, train::*, weight::*};
/// # let spec = NetSpec::from_toml("name = 'tiny'\ninput = [4]\nclasses = 2\n[[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 2", "")?;
/// # let layer = LayerParameters {
/// #     name: "fc1".into(),
/// #     weight: VariationalWeight::dense(&[2, 4], Parameter::new(vec![0., 0., 1., 0., 0., 2., 0., 0.]), None)?,
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
/// # let net = vbd_prune::PrunedNet::from_checkpoint(&checkpoint, None)?;
/// use std::time::Duration;
/// use vbd_prune::bench::{BenchOptions, bench};
///
/// let options = BenchOptions { time: Duration::from_millis(2), ..BenchOptions::default() };
/// let rows = bench(&net, &[1, 64], None, options)?;
/// assert_eq!(rows.len(), 6);
/// assert!(rows.iter().all(|row| row.median_us <= row.p99_us));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Plan::new`]; [`Error::BatchTooLarge`] if the dense net and a batch need more than 1 GB;
/// [`Error::Input`] if `images` are no whole samples; [`Error::Candle`] if Candle cannot run the net.
pub fn bench(
    net: &PrunedNet,
    batches: &[usize],
    images: Option<&[u8]>,
    options: BenchOptions,
) -> Result<Vec<Row>> {
    check_size(net, batches)?;
    let mut session = Plan::new(net)?.session();
    let mut gemm = GemmNet::new(net)?;
    let candle = DenseNet::new(net, &Device::Cpu)?;
    let mut rows = Vec::new();
    for &batch in batches {
        let len = net.spec().input_len();
        let pixels = pixels(net, images, batch)?;
        let x = Tensor::from_slice(&pixels, (batch, len), &Device::Cpu)?;
        let mut calls: [(What, Vec<Duration>); 3] =
            [What::Sparse, What::Gemm, What::Candle].map(|what| (what, Vec::new()));
        // One call each first: buffers and caches, and what can fail.
        session.run(&pixels)?;
        gemm.run(&pixels, batch);
        candle.forward(&x)?;
        for _ in 0..options.turns() {
            for (what, calls) in &mut calls {
                let turn = Instant::now();
                while turn.elapsed() < options.turn() {
                    let call = Instant::now();
                    match what {
                        What::Sparse => _ = black_box(session.run(black_box(&pixels))?),
                        What::Gemm => _ = black_box(gemm.run(black_box(&pixels), batch)),
                        What::Candle => _ = black_box(candle.forward(black_box(&x))?),
                    }
                    calls.push(call.elapsed());
                }
            }
        }
        rows.extend(calls.map(|(what, calls)| Row::of(what, batch, calls)));
    }
    Ok(rows)
}

impl Row {
    fn of(what: What, batch: usize, mut calls: Vec<Duration>) -> Self {
        calls.sort_unstable();
        let at = |place: usize| {
            let call = calls.get(place.min(calls.len().saturating_sub(1)));
            call.map_or(f64::NAN, |call| {
                call.as_secs_f64() * 1e6 / batch.max(1) as f64
            })
        };
        let (median_us, p99_us) = (at(calls.len() / 2), at(calls.len() * 99 / 100));
        Self {
            what,
            batch,
            threads: rayon::current_num_threads(),
            median_us,
            p99_us,
        }
    }
}

fn check_size(net: &PrunedNet, batches: &[usize]) -> Result<()> {
    let shapes = net.spec().shapes()?;
    let widest = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let weights: usize = net.layers().iter().map(|layer| layer.weight.numel()).sum();
    let largest = batches.iter().copied().max().unwrap_or(0);
    let values = largest.saturating_mul(widest).saturating_add(weights);
    let found = values.saturating_mul(size_of::<f32>());
    if found > MOST_BYTES {
        return Err(Error::BatchTooLarge {
            net: net.spec().name.clone(),
            batch: largest,
            found: found as u64,
            most: MOST_BYTES as u64,
        });
    }
    Ok(())
}

/// `batch` samples: the images over and over, or a fifth of the pixels lit, as digits have them.
fn pixels(net: &PrunedNet, images: Option<&[u8]>, batch: usize) -> Result<Vec<f32>> {
    let len = net.spec().input_len();
    let Some(images) = images.filter(|images| !images.is_empty()) else {
        let lit = |i: usize| {
            if (i / 3).is_multiple_of(5) {
                1.0 + (i % 255) as f32
            } else {
                0.0
            }
        };
        return Ok((0..batch * len).map(lit).collect());
    };
    if !images.len().is_multiple_of(len) {
        return Err(Error::Input {
            net: net.spec().name.clone(),
            found: images.len(),
            samples: images.len() / len + 1,
            expected: len,
        });
    }
    Ok(images
        .iter()
        .cycle()
        .take(batch * len)
        .map(|&pixel| f32::from(pixel))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_checkpoint;

    #[test]
    fn what_memory_cannot_hold_is_an_error() {
        let net = PrunedNet::from_checkpoint(&random_checkpoint(0), None).unwrap();
        let options = BenchOptions {
            time: Duration::from_nanos(1),
            turns: 1,
        };
        assert_eq!(bench(&net, &[3], None, options).unwrap().len(), 3);
        for batch in [MOST_BYTES, usize::MAX] {
            let error = bench(&net, &[1, batch], None, options).unwrap_err();
            assert!(matches!(error, Error::BatchTooLarge { batch: b, .. } if b == batch));
        }
    }
}
