//! What policies mean, met as people write them.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod bounds;
mod cases;
mod meaning;
mod own_tests;
mod policies;
mod refusals;
mod replay;
mod routes;
mod support;
