//! End-to-end tests: the libraries through their public interface, and the binary `vbd`.

// Not tests: a folder with a small network and data, and the binary.
mod support;

// The libraries together, without the binary.
mod library;
// The whole road with a network and data of one's own.
mod road;
// What scripts rely on: the JSON of each verb.
mod json;
// Exit codes, messages and hints.
mod errors;
// stdout, stderr, colours, width, closed pipes, help.
mod terminal;
// The same bits: whatever the number of threads, and in two runs.
mod reproducible;
// Runs that are killed, interrupted or damaged go on.
#[cfg(unix)]
mod resume;
// Real MNIST, where it is found.
mod mnist;
