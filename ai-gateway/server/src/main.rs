//! maru-gateway.

fn main() {}
