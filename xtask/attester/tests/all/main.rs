//! The stand-in for security modules, met as a node meets it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]

mod nsm;
mod serve;
