//! The inner layer: OpenPCC's request to several nodes, of which one answers.
//!
//! The request is sealed once, with a key of its own; that key is sealed to each candidate. Only the answering node and
//! the client can seal and open the response.

pub mod client;
mod layer;
mod names;
pub mod node;
mod rek;

pub use client::{Answers, Candidate, Recipient, Sealed, SealedKey, seal, seal_chunked};
pub use node::{OpenError, Opened, RequestStream, open, open_key, replay_id};

pub use layer::{REQUEST_LIMITS, RESPONSE_LIMITS};
#[cfg(test)]
pub(crate) use names::KEY_ID;
pub use names::{
    AUTHORITY, BADGE, CHUNKED_REQUEST, CHUNKED_RESPONSE, MAX_CANDIDATES, PADDING, REQUEST, RESPONSE,
};
pub use rek::Rek;

#[cfg(test)]
mod tests;
