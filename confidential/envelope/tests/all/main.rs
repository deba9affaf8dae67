//! The confidential chain's envelope beside what others built from the same specifications.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]

mod openpcc;
mod peers;
mod vectors;
