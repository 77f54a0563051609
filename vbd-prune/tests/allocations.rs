//! A session allocates nothing once it has run: not for a sample, not for a batch.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, and draw small numbers"
)]

mod common;
mod counting;

use common::{random_checkpoint, random_samples};
use counting::count;
use vbd_net::Plan;
use vbd_prune::prune_checkpoint;

#[test]
fn a_session_that_has_run_allocates_nothing() {
    for seed in 0..20 {
        let net = prune_checkpoint(&random_checkpoint(seed), None).unwrap();
        let mut session = Plan::new(&net).unwrap().session();
        let samples = random_samples(net.spec(), 64, seed);
        let pixels = samples.inputs().bytes().unwrap();
        let floats: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel)).collect();
        session.run(pixels).unwrap();
        for n in [1, 3, 17, 64] {
            let len = n * net.spec().input_len();
            let ((), calls, _) = count(|| {
                session.run(&pixels[..len]).unwrap();
                session.run(&floats[..len]).unwrap();
            });
            assert_eq!(calls, 0, "{seed} {n}");
        }
    }
}
