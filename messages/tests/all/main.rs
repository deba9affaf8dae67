//! The catalogue of messages, and what is made of a daemon's problem.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod catalogue;
mod problem;
