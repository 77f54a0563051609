//! Times a sparse layer against candle-nn's dense layer with the same weight, in turns, and prints
//! medians and their ratio.
//!
//! ```text
//! cargo run --release -p vbd-prune --example layer_speed
//! ```
//!
//! The dense product must read the whole weight of 941 KB; the sparse one reads about 8 bytes for each
//! of 4,704 entries.

#![expect(clippy::print_stdout, reason = "output of a program")]

use std::collections::HashMap;
use std::time::Instant;

use candle_core::{DType, Device, Module, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use vbd_core::noise::{NoiseKey, Stream};
use vbd_prune::sparse_linear;

const IN: usize = 784;
const OUT: usize = 300;
/// Number of weights per kept weight.
const RATIO: f32 = 50.0;
const TURNS: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::Cpu;
    let key = NoiseKey {
        seed: 1,
        step: 0,
        stream: Stream::Other(0),
    };
    let mut draws = vec![0.0; IN * OUT];
    key.fill_uniform(0, &mut draws);
    let weight = draws.iter().map(|&draw| {
        if draw * RATIO <= 1.0 {
            draw * RATIO - 0.5
        } else {
            0.0
        }
    });
    let weight = Tensor::from_vec(weight.collect::<Vec<f32>>(), (OUT, IN), &device)?;
    let tensors = HashMap::from([
        ("weight".to_owned(), weight),
        ("bias".to_owned(), Tensor::zeros(OUT, DType::F32, &device)?),
    ]);
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &device);
    let sparse = sparse_linear(IN, OUT, vb.clone())?;
    let dense = candle_nn::linear(IN, OUT, vb)?;
    for batch in [1, 64] {
        let x = Tensor::from_vec(draws[..batch * IN].to_vec(), (batch, IN), &device)?;
        let difference = (sparse.forward(&x)? - dense.forward(&x)?)?
            .abs()?
            .max_all()?;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..TURNS / batch {
            times[0].push(micros(&sparse, &x)?);
            times[1].push(micros(&dense, &x)?);
        }
        let [sparse, dense] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        println!(
            "batch {batch}: sparse {sparse:.2} us, candle-nn {dense:.2} us: {:.1} times faster; largest difference {:.1e}",
            dense / sparse,
            difference.to_scalar::<f32>()?
        );
    }
    Ok(())
}

fn micros(layer: &impl Module, x: &Tensor) -> CandleResult<f64> {
    let clock = Instant::now();
    layer.forward(x)?;
    Ok(clock.elapsed().as_secs_f64() * 1e6)
}
