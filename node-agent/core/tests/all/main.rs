//! The agent's decisions against other people's code.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod disco;
