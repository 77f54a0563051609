//! vbd
fn main() {}
