//! Benchmarks of inference: the sparse runtime against the dense net.

mod gemm_net;
mod options;

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{Device, Module, Tensor};
use serde::Serialize;
use vbd_net::SparseMatrix;
use vbd_net::data::Values;
use vbd_net::graph::{TensorSlot, WeightSpec};
use vbd_net::spec::NetSpec;

pub use self::options::BenchOptions;

use self::gemm_net::GemmNet;
use crate::error::{Error, Result};
use crate::sparse_net::DenseNet;
use vbd_net::runtime::{Plan, Session};
use vbd_net::{NetTensors, Origin, PrunedLayer, PrunedNet, UnitScale};

/// Maximum bytes of the dense nets and a batch's largest activations: a small file can describe a
/// large net, which is made dense here.
const MOST_BYTES: usize = 1 << 30;

/// Engine that was measured.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The sparse runtime.
    Sparse,
    /// The dense net on the `gemm` crate, without a framework.
    Gemm,
    /// The dense net with Candle's operations.
    Candle,
}

impl Engine {
    /// Returns the name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sparse => "sparse",
            Self::Gemm => "gemm",
            Self::Candle => "candle",
        }
    }
}

/// Network that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Subject {
    /// The pruned net of the file.
    #[serde(rename = "file")]
    Pruned,
    /// The original of a shrunk net, dense.
    #[serde(rename = "before")]
    Original,
}

/// A measurement, in microseconds per sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    /// Engine that was measured.
    pub what: Engine,
    /// Network that was measured.
    pub net: Subject,
    /// Batch size.
    pub batch: usize,
    /// Number of threads available.
    pub threads: usize,
    /// Median over calls.
    pub median_us: f64,
    /// 99th percentile over calls.
    pub p99_us: f64,
}

/// Measures `net` at each batch size, on f32 pixels from `images`, or on synthetic ones if `None`.
/// The engines take turns, so that disturbances affect all of them. For a shrunk net, the original
/// dense net is measured too.
///
/// ```
/// use std::time::Duration;
/// use vbd_net::{PrunedNet, spec::NetSpec};
/// use vbd_prune::bench::{BenchOptions, bench};
///
/// let spec = NetSpec::from_json(
///     r#"{"name": "tiny", "input": [4], "classes": 2,
///         "layer": [{"kind": "linear", "name": "fc1", "out_features": 2}]}"#,
/// )?;
/// let weight = vec![0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0];
/// let net = PrunedNet::from_parts(spec, [("fc1.weight", weight), ("fc1.bias", vec![0.5, 0.0])])?;
///
/// let options = BenchOptions { time: Duration::from_millis(2), ..BenchOptions::default() };
/// let rows = bench(&net, &[1, 64], None, options)?;
/// assert_eq!(rows.len(), 6);
/// assert!(rows.iter().all(|row| row.median_us <= row.p99_us));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`Plan::new`]; [`Error::BatchTooLarge`] if the dense net and a batch need more than 1
/// GB; [`vbd_net::Error::Input`] if `images` are not whole samples; [`Error::Candle`] if Candle
/// fails.
pub fn bench(
    net: &PrunedNet,
    batches: &[usize],
    images: Option<Values<'_>>,
    options: BenchOptions,
) -> Result<Vec<Row>> {
    for spec in [net.spec(), net.original()] {
        check_size(net, spec, batches)?;
    }
    let whole = net.is_shrunk().then(|| whole(net));
    let whole = whole.transpose()?;
    let mut runners = vec![
        (
            Subject::Pruned,
            Runner::Sparse(Box::new(Plan::new(net)?.session())),
        ),
        (Subject::Pruned, Runner::Gemm(GemmNet::new(net))),
        (
            Subject::Pruned,
            Runner::Candle(DenseNet::new(net, &Device::Cpu)?),
        ),
    ];
    if let Some(whole) = &whole {
        runners.push((Subject::Original, Runner::Gemm(GemmNet::new(whole))));
        let candle = DenseNet::new(whole, &Device::Cpu)?;
        runners.push((Subject::Original, Runner::Candle(candle)));
    }
    let mut rows = Vec::new();
    for &batch in batches {
        let len = net.spec().input_len();
        let pixels = pixels(net, images, batch)?;
        let x = Tensor::from_slice(&pixels, (batch, len), &Device::Cpu)?;
        let mut calls = vec![Vec::new(); runners.len()];
        // Warm up: fills buffers and caches, and finds errors.
        for (_, runner) in &mut runners {
            runner.run(&pixels, &x)?;
        }
        for _ in 0..options.turns() {
            for ((_, runner), calls) in runners.iter_mut().zip(&mut calls) {
                let turn = Instant::now();
                while turn.elapsed() < options.turn() {
                    let call = Instant::now();
                    runner.run(black_box(&pixels), black_box(&x))?;
                    calls.push(call.elapsed());
                }
            }
        }
        let timed = runners.iter().zip(calls);
        rows.extend(
            timed.map(|((subject, runner), calls)| {
                Row::new(runner.engine(), *subject, batch, calls)
            }),
        );
    }
    Ok(rows)
}

/// An engine under measurement.
enum Runner {
    Sparse(Box<Session>),
    Gemm(GemmNet),
    Candle(DenseNet),
}

impl Runner {
    fn engine(&self) -> Engine {
        match self {
            Self::Sparse(_) => Engine::Sparse,
            Self::Gemm(_) => Engine::Gemm,
            Self::Candle(_) => Engine::Candle,
        }
    }

    /// Runs a batch, given as slice and as tensor.
    fn run(&mut self, pixels: &[f32], x: &Tensor) -> Result<()> {
        match self {
            Self::Sparse(session) => _ = black_box(session.run(pixels)?),
            Self::Gemm(net) => _ = black_box(net.run(pixels, x.dim(0)?)),
            Self::Candle(net) => _ = black_box(net.forward(x)?),
        }
        Ok(())
    }
}

/// Returns the original network of `net` with dense synthetic weights, on which time does not
/// depend.
fn whole(net: &PrunedNet) -> Result<PrunedNet> {
    let mut spec = net.original().clone();
    spec.normalize = net.spec().normalize.clone();
    let layers = spec.weights()?.into_iter().map(|weight| {
        let value = 1.0 / weight.cols() as f32;
        let entries = (0..weight.numel()).map(|place| (place, value));
        PrunedLayer {
            weight: SparseMatrix::from_places(
                [weight.rows(), weight.cols()],
                weight.numel(),
                entries,
            ),
            bias: vec![0.0; weight.rows()],
            name: weight.layer,
            kind: weight.kind,
            shape: weight.shape,
        }
    });
    let graph = spec.resolve()?;
    let scales = graph.nodes().filter_map(|(_, node)| match node.slot {
        TensorSlot::Scale(_) => Some(UnitScale {
            name: node.label.clone(),
            weight: vec![1.0; node.shape.units()],
            bias: vec![0.0; node.shape.units()],
        }),
        _ => None,
    });
    let image = |name| {
        let mut images = net.images();
        images.find_map(|(found, image)| (found == name).then(|| image.to_vec()))
    };
    let parts = NetTensors {
        layers: layers.collect(),
        mean: image("normalize.mean"),
        std: image("normalize.std"),
        scales: scales.collect(),
        ..NetTensors::default()
    };
    Ok(PrunedNet::new(spec, parts, Origin::default())?)
}

impl Row {
    fn new(what: Engine, net: Subject, batch: usize, mut calls: Vec<Duration>) -> Self {
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
            net,
            batch,
            threads: rayon::current_num_threads(),
            median_us,
            p99_us,
        }
    }
}

/// Returns the batch sizes for which the dense nets fit in memory (1 GB).
///
/// # Errors
/// [`Error::BatchTooLarge`] if none does.
pub fn fitting(net: &PrunedNet, batches: &[usize]) -> Result<Vec<usize>> {
    let check = |batches: &[usize]| {
        check_size(net, net.spec(), batches).and_then(|()| check_size(net, net.original(), batches))
    };
    let fits = batches.iter().copied();
    let fits: Vec<usize> = fits.filter(|&batch| check(&[batch]).is_ok()).collect();
    if fits.is_empty() {
        check(batches)?;
    }
    Ok(fits)
}

/// Rejects sizes that need more memory than [`MOST_BYTES`] for the dense net, its largest column
/// matrix and the activations of the largest batch.
fn check_size(net: &PrunedNet, spec: &NetSpec, batches: &[usize]) -> Result<()> {
    let graph = spec.resolve()?;
    let values = graph
        .nodes()
        .map(|(_, node)| node.shape.len())
        .sum::<usize>();
    let weights = graph.weights().iter();
    let numel = weights.clone().map(WeightSpec::numel).sum::<usize>();
    let columns = weights.map(|weight| weight.cols() * weight.positions);
    let largest = batches.iter().copied().max().unwrap_or(0);
    // Outputs of each layer for `gemm` and for Candle, and each weight.
    let activations = largest.saturating_mul(2 * values);
    let values = activations.saturating_add(numel * 4 + columns.max().unwrap_or(0));
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

/// Returns `batch` samples: the images repeated, or synthetic ones with a fifth of the pixels
/// nonzero, as in digits.
fn pixels(net: &PrunedNet, images: Option<Values<'_>>, batch: usize) -> Result<Vec<f32>> {
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
        let error = vbd_net::Error::Input {
            net: net.spec().name.clone(),
            found: images.len(),
            samples: images.len() / len + 1,
            expected: len,
        };
        return Err(error.into());
    }
    Ok(images
        .to_f32()
        .into_iter()
        .cycle()
        .take(batch * len)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune_checkpoint;
    use crate::testing::random_checkpoint;

    #[test]
    fn what_memory_cannot_hold_is_an_error() {
        let net = prune_checkpoint(&random_checkpoint(0), None).unwrap();
        let options = BenchOptions {
            time: Duration::from_nanos(1),
            turns: 1,
        };
        assert_eq!(bench(&net, &[3], None, options).unwrap().len(), 3);
        assert_eq!(fitting(&net, &[1, MOST_BYTES, 8]).unwrap(), [1, 8]);
        assert!(fitting(&net, &[MOST_BYTES]).is_err());
        for batch in [MOST_BYTES, usize::MAX] {
            let error = bench(&net, &[1, batch], None, options).unwrap_err();
            assert!(matches!(error, Error::BatchTooLarge { batch: b, .. } if b == batch));
        }
    }
}
