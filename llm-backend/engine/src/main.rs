//! maru-llm.

fn main() {}
