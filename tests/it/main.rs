//! End-to-end tests: the libraries through their public interface, and the binary `vbd`.
//!
//! `cfg(test)` always holds here; it tells clippy that helpers may unwrap as tests may.

// Not tests: a folder with a small network and data, and the binary.
#[cfg(test)]
mod support;

// The libraries together, without the binary.
#[cfg(test)]
mod library;
// The whole road with a network and data of one's own.
#[cfg(test)]
mod road;
// Networks with sums: the same road.
#[cfg(test)]
mod residual;
// Networks without classes, on images without labels.
#[cfg(test)]
mod autoencoder;
// Recipes that combine methods, gates and optimisers.
#[cfg(test)]
mod methods;
// Neuron pruning: the same road to a smaller net.
#[cfg(test)]
mod neurons;
mod own_model;
// What scripts rely on: the JSON of each verb.
#[cfg(test)]
mod json;
// Pictures: what a viewer shows is what the network sees.
#[cfg(test)]
mod pictures;
// Exit codes, messages and hints.
#[cfg(test)]
mod errors;
// stdout, stderr, colours, width, closed pipes, help.
#[cfg(test)]
mod terminal;
// The same bits: whatever the number of threads, and in two runs.
#[cfg(test)]
mod reproducible;
// The same bits after a change of the structure.
#[cfg(test)]
mod pinned;
// The same bits on every instruction set that the machine has.
#[cfg(test)]
mod simd;
// Runs that are killed, interrupted or damaged go on.
#[cfg(test)]
#[cfg(unix)]
mod resume;
// Real MNIST, where it is found.
#[cfg(test)]
mod mnist;
