//! Automation: up, test, bench, images.

fn main() {}
