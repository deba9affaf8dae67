//! What policies mean, met as people write them.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod cases;
mod meaning;
mod policies;
mod replay;
