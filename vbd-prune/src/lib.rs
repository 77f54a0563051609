//! vbd-prune
