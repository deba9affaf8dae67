//! maru-telmeet.

fn main() {}
