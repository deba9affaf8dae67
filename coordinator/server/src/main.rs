//! maru-coordinator.

fn main() {}
