//! maru-agent.

fn main() {}
