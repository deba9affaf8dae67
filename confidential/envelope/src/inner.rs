//! The inner layer: OpenPCC's request to several nodes, of which one answers.
//!
//! The request is sealed once with its own key, which is sealed to each candidate. Only the answering node and the client
//! have the keys of the response.

pub mod client;
mod names;
pub mod node;
mod rek;

pub use client::{Candidate, Recipient, ResponseOpeners, Sealed, SealedKey, seal, seal_chunked};
pub use node::{OpenError, Opened, RequestStream, open, open_key, replay_id};

pub use crate::candidates::MAX_CANDIDATES;
#[cfg(test)]
pub(crate) use names::KEY_ID;
pub use names::{
    CHUNKED_REQUEST, CHUNKED_RESPONSE, PADDING, REQUEST, REQUEST_LIMITS, RESPONSE, RESPONSE_LIMITS,
};
pub use rek::Rek;

#[cfg(test)]
mod tests;
