//! A server with a hundred sessions has as many threads as it asked for.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests fail by panics, and draw small numbers"
)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{checkpoint_of, random_samples};
use vbd_core::recipe::NetToml;
use vbd_net::Plan;
use vbd_net::runtime::Threads;
use vbd_net::spec::NetSpec;
use vbd_prune::prune_checkpoint;

/// Threads of this process that the runtime has named.
fn helpers() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("vbd-")).count()
}

/// [`helpers`], once it is `expected` or ten seconds are over: a thread takes its name only when it first
/// runs, and the system may list one for a moment after it was joined.
fn helpers_settled(expected: usize) -> usize {
    let start = Instant::now();
    while helpers() != expected && start.elapsed() < Duration::from_secs(10) {
        std::thread::yield_now();
    }
    helpers()
}

#[test]
fn a_hundred_sessions_share_the_threads_that_they_were_made_with() {
    let net = "name = 'wide'\ninput = [64]\nclasses = 3\n\
        [[layer]]\nkind = 'linear'\nname = 'fc1'\nout_features = 300\n\
        [[layer]]\nkind = 'relu'\n\
        [[layer]]\nkind = 'linear'\nname = 'fc2'\nout_features = 3\n";
    let spec = NetSpec::from_toml(net, "wide.toml").unwrap();
    let net = prune_checkpoint(&checkpoint_of(spec, 1), None).unwrap();
    let plan = Plan::new(&net).unwrap();
    let samples = random_samples(net.spec(), 2000, 1);
    // Large enough to be shared.
    assert!(plan.multiply_adds() * samples.len() > 1_000_000);

    let threads = Threads::new(3);
    let mut sessions: Vec<_> = (0..100).map(|_| plan.session_on(&threads)).collect();
    assert_eq!(helpers(), 0, "they start with the first large batch");
    let first = sessions[0]
        .run(samples.inputs().bytes().unwrap())
        .unwrap()
        .to_vec();
    for session in &mut sessions {
        assert_eq!(
            session.run(samples.inputs().bytes().unwrap()).unwrap(),
            first
        );
    }
    assert_eq!(helpers_settled(2), 2);
    drop(threads);
    assert_eq!(helpers(), 2, "the sessions hold them");
    drop(sessions);
    assert_eq!(helpers_settled(0), 0);
}
