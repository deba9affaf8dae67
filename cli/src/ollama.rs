//! A running Ollama: where it is, what its models are called, and a client of its API for models.
//!
//! The crate `ollama-rs` reads answers and lines of any length, and does not tell which models run in a cloud; it would also
//! bring a second `reqwest`. Chats are the gateway's (`llm-backend`).

mod address;
pub(crate) mod answer;
mod choice;
mod client;
pub(crate) mod name;

pub(crate) use address::{PORT, USUAL, address, is_mesh};
pub(crate) use choice::find;
pub(crate) use client::Ollama;

#[cfg(test)]
mod tests;
