//! What is refused, with which code: one table a family. Each row changes one thing of what is valid, and signs again
//! what an attacker could sign.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]

mod bench;
mod codes;
mod nitro;
mod peers;
mod policy;
mod real;
mod sets;
mod tpm;
mod vectors;
