//! maru.

fn main() {}
