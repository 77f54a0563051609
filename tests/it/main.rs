//! End-to-end tests: the libraries through their public interface, and the binary `vbd`.
//!
//! `cfg(test)` always holds here; it tells clippy that helpers may unwrap as tests may.

// Not tests: a folder with a small network and data, and the binary.
#[cfg(test)]
mod support;

// The libraries together, without the binary.
#[cfg(test)]
mod library;
// From training to prediction with a user's own network and data.
#[cfg(test)]
mod road;
// Runs that start from a trained net.
#[cfg(test)]
mod start;
// Many runs from one file.
#[cfg(test)]
mod sweep;
// Networks for PyTorch, and from it.
#[cfg(test)]
mod exchange;
// Files from the hub and onto it, by a server of the test's own.
#[cfg(test)]
mod hub;
// The error as single layers are cut.
#[cfg(test)]
mod sensitivity;
// Networks with sums, from training to evaluation.
#[cfg(test)]
mod residual;
// Normalisation by channel.
#[cfg(test)]
mod normalisation;
// Networks without classes, on images without labels.
#[cfg(test)]
mod autoencoder;
// Recipes that combine methods, gates and optimisers.
#[cfg(test)]
mod methods;
// Neuron pruning, from training to the shrunk net.
#[cfg(test)]
mod neurons;
mod own_model;
// What scripts rely on: the JSON of each verb.
#[cfg(test)]
mod json;
// Pictures: what a viewer shows is what the network sees.
#[cfg(test)]
mod pictures;
// Predictions of numpy arrays.
#[cfg(test)]
mod arrays;
// Exit codes, messages and hints.
#[cfg(test)]
mod errors;
// Changes of training images.
#[cfg(test)]
mod augment;
// Data sets that are not what they seem.
#[cfg(test)]
mod data_sets;
// Data sources, each from its files to a trained network.
#[cfg(test)]
mod data_sources;
// Runs that are begun, left or collapse in unusual ways.
#[cfg(test)]
mod run_states;
// What is written where, and what is shown of files that are not to be trusted.
#[cfg(test)]
mod file_safety;
// stdout, stderr, colours, width, closed pipes, help.
#[cfg(test)]
mod terminal;
// The same bits on any number of threads and in two runs.
#[cfg(test)]
mod reproducible;
// The same bits after a change of the structure.
#[cfg(test)]
mod pinned;
// The same bits on every instruction set that the machine has.
#[cfg(test)]
mod simd;
// Runs that are killed, interrupted or damaged can be resumed.
#[cfg(test)]
#[cfg(unix)]
mod resume;
// Real MNIST, where it is found.
#[cfg(test)]
mod mnist;
