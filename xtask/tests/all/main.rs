//! What people get wrong with `cargo xtask`.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod bench;
mod sabotage;
