//! What the chains are asked.

/// The example of `llm-backend` that answers and asks.
pub(in crate::bench) const EXAMPLE: &str = "confidential_load";

/// Requests one after the other, directly and through the chain in turn.
pub(super) const SEQUENTIAL: usize = 200;

/// Requests at a time, and how many in all.
pub(super) const PARALLEL: usize = 8;
pub(super) const REQUESTS: usize = 800;

/// Pieces of a long reply, and how many are asked for.
pub(super) const CHUNKS: u32 = 4000;
pub(super) const LONG: usize = 5;
